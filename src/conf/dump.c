#include "conf/conf.h"

static void print_word(const char *word, FILE *stream)
{
	fputc('"', stream);
	for (; *word != '\0'; word++) {
		if (*word == '"' || *word == '\\')
			fputc('\\', stream);
		fputc(*word, stream);
	}
	fputc('"', stream);
}

static void print_value(const struct setting_info *info, const struct conf_value *value,
			FILE *stream)
{
	fprintf(stream, "%s = ", info->name);
	if (info->most == 1) {
		print_word(value->words[0], stream);
	} else {
		fputc('{', stream);
		for (unsigned i = 0; i < value->count; i++) {
			fputs(i > 0 ? ", " : " ", stream);
			print_word(value->words[i], stream);
		}
		fputs(" }", stream);
	}
	fputc('\n', stream);
}

void conf_dump(const struct conf *conf, FILE *stream)
{
	for (unsigned i = 0; i < SETTING_COUNT; i++) {
		if (setting_info[i].where & G)
			print_value(&setting_info[i], conf_get(conf, i), stream);
	}
}
