#include "tools/report.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/macros.h"

#define CLIENT_HELLO 1
#define SERVER_HELLO 2

/* By HandshakeType; RFC 8446 section 4, and RFC 5246, 5077, 6066 for those that TLS 1.3 has not. */
static const char *const step_names[256] = {
	[0] = "HelloRequest",
	[CLIENT_HELLO] = "ClientHello",
	[SERVER_HELLO] = "ServerHello",
	[4] = "NewSessionTicket",
	[5] = "EndOfEarlyData",
	[8] = "EncryptedExtensions",
	[11] = "Certificate",
	[12] = "ServerKeyExchange",
	[13] = "CertificateRequest",
	[14] = "ServerHelloDone",
	[15] = "CertificateVerify",
	[16] = "ClientKeyExchange",
	[20] = "Finished",
	[22] = "CertificateStatus",
	[24] = "KeyUpdate",
	[25] = "CompressedCertificate",
	[254] = "ChangeCipherSpec",
};

/* The library has checked this already, but it costs nothing not to rely on it. */
static uint32_t step_count(const struct tlsb_info *info)
{
	return MIN(info->step_count, (uint32_t)TLSB_INFO_STEPS);
}

/* A HelloRetryRequest looks like a ServerHello, but another ClientHello comes after it. */
static int is_retry(const struct tlsb_info *info, uint32_t i)
{
	if (info->steps[i].type != SERVER_HELLO)
		return 0;
	while (++i < step_count(info)) {
		if (info->steps[i].type == CLIENT_HELLO)
			return 1;
	}
	return 0;
}

const char *report_step_name(const struct tlsb_info *info, uint32_t i)
{
	if (is_retry(info, i))
		return "HelloRetryRequest";
	return step_names[info->steps[i].type];
}

static void print_steps(FILE *out, const struct tlsb_info *info)
{
	for (uint32_t i = 0; i < step_count(info); i++) {
		const struct tlsb_step *step = &info->steps[i];
		const char *name = report_step_name(info, i);

		fprintf(out, "  %6u ms  %s  ", step->ms, step->sent ? "->" : "<-");
		if (name)
			fprintf(out, "%s\n", name);
		else
			fprintf(out, "message of type %u\n", step->type);
	}
}

static const char *version_name(uint32_t version)
{
	switch (version) {
	case TLSB_TLS_1_2:
		return "TLSv1.2";
	case TLSB_TLS_1_3:
		return "TLSv1.3";
	default:
		return "unknown version";
	}
}

static void print_line(FILE *out, const char *what, const char *value)
{
	if (value[0] != '\0')
		fprintf(out, "  %-12s %s\n", what, value);
}

static void print_certificate(FILE *out, const struct tlsb_info *info)
{
	time_t end = (time_t)info->not_after;
	char date[32] = "";
	struct tm tm;

	print_line(out, "certificate", info->subject);
	if (info->key_bits)
		fprintf(out, "  %-12s %u bits\n", "its key", info->key_bits);
	if (end && gmtime_r(&end, &tm) &&
	    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", &tm))
		print_line(out, "valid until", date);
	print_line(out, "verified", info->verified ? "yes" : "NO: anybody may be at the other end");
}

static void print_chain(FILE *out, const char *chain)
{
	const char *what = "chain";

	while (*chain) {
		size_t len = strcspn(chain, "\n");

		fprintf(out, "  %-12s %.*s\n", what, (int)len, chain);
		chain += len + (chain[len] == '\n');
		what = "";
	}
}

void report_established(FILE *out, const struct tlsb_info *info)
{
	fprintf(out, "connected to %s: name %.1f ms, TCP %.1f ms, TLS %.1f ms\n", info->address,
		info->name_us / 1000.0, info->tcp_us / 1000.0, info->tls_us / 1000.0);
	print_steps(out, info);
	print_line(out, "version", version_name(info->version));
	print_line(out, "cipher", info->cipher);
	print_line(out, "group", info->group);
	print_line(out, "ALPN", info->alpn);
	if (info->identity[0] != '\0')
		print_line(out, "identity", info->identity);
	print_line(out, "psk", info->psk);
	print_line(out, "resumed", info->resumed ? "yes" : "no");
	print_certificate(out, info);
	print_chain(out, info->chain);
}

void report_ended(FILE *out, uint64_t received, uint64_t sent)
{
	fprintf(out, "ended: %" PRIu64 " bytes received, %" PRIu64 " bytes sent\n", received, sent);
}
