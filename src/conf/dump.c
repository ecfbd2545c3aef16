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

void conf_dump(const struct conf *conf, FILE *stream)
{
	print_scope(conf, NULL, G, "", stream);
	for (unsigned i = 0; i < conf->identity_count; i++) {
		const struct conf_identity *identity = &conf->identities[i];

		fprintf(stream, "\nidentity \"%s\" {\n", identity->name);
		for (unsigned j = 0; j < SETTING_COUNT; j++) {
			if (setting_info[j].where & I)
				print_value(&setting_info[j], &identity->scope.values[j], "\t", stream);
		}
		fputs("}\n", stream);
	}
	for (unsigned i = 0; i < conf->badge_count; i++) {
		fprintf(stream, "\nbadge \"%s\" {\n", conf->badges[i].name);
		print_scope(conf, &conf->badges[i], B, "\t", stream);
		fputs("}\n", stream);
	}
}
