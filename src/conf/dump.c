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
			const char *indent, FILE *stream)
{
	if (!value->is_set && !info->standard) {
		fprintf(stream, "%s# %s is not set\n", indent, info->name);
		return;
	}
	fprintf(stream, "%s%s = ", indent, info->name);
	if (setting_is_single(info)) {
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

static void print_scope(const struct conf *conf, const struct conf_badge *badge, unsigned where,
			const char *indent, FILE *stream)
{
	for (unsigned i = 0; i < SETTING_COUNT; i++) {
		if (setting_info[i].where & where)
			print_value(&setting_info[i], conf_get(conf, badge, i), indent, stream);
	}
}

static void print_granted(const char *kind, unsigned where, const struct conf_identity *list,
			  unsigned count, FILE *stream)
{
	for (unsigned i = 0; i < count; i++) {
		fprintf(stream, "\n%s \"%s\" {\n", kind, list[i].name);
		for (unsigned j = 0; j < SETTING_COUNT; j++) {
			if (setting_info[j].where & where)
				print_value(&setting_info[j], &list[i].scope.values[j], "\t", stream);
		}
		fputs("}\n", stream);
	}
}

void conf_dump(const struct conf *conf, FILE *stream)
{
	print_scope(conf, NULL, G, "", stream);
	print_granted("identity", I, conf->identities, conf->identity_count, stream);
	print_granted("psk", P, conf->psks, conf->psk_count, stream);
	for (unsigned i = 0; i < conf->badge_count; i++) {
		fprintf(stream, "\nbadge \"%s\" {\n", conf->badges[i].name);
		print_scope(conf, &conf->badges[i], B, "\t", stream);
		fputs("}\n", stream);
	}
}
