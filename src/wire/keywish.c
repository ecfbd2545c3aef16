#include "wire/keywish.h"

bool keywish_is_good(const struct key_wish *wish, size_t tail_len)
{
	switch (wish->action) {
	case KEY_SIGN_HASH:
		return wish->hash_len <= LIMIT_HASH && wish->hash_len == tail_len;
	case KEY_VERIFY_HASH:
		return wish->hash_len <= LIMIT_HASH && wish->hash_len <= tail_len &&
		       tail_len - wish->hash_len <= LIMIT_KEY_SIGNATURE;
	case KEY_DESTROY:
	case KEY_NEXT:
		return tail_len == 0 && wish->hash_len == 0 && wish->algorithm == 0;
	default:
		return false; /* an import has a message of its own */
	}
}
