/* The configuration: tables of cases over file, environment and --set, each with the words of the wanted error. */
#include "check.h"

#include "common/alloc.h"
#include "common/config.h"
#include "common/file.h"
#include "common/log.h"
#include "common/secret.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIVEKIT "LIVEKIT_API_KEY=APIkey", "LIVEKIT_API_SECRET=0123456789abcdef0123456789abcdef"
#define MODEL "GEMINI_API_KEY=model-key"
#define KAFKA "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092"
#define DATABASE "DATABASE_URL=postgresql://u@127.0.0.1/db"
#define SHIM CONFIG_SHIM
#define CONSUMER CONFIG_CONSUMER
#define TOOL CONFIG_TOOL

static char dir[] = "/tmp/config-test-XXXXXX";

struct scene {
    const char *label;
    unsigned program;
    const char *env[8];  /* beside the base below; NAME alone takes a variable away */
    const char *file;    /* text of the file; NULL: none */
    const char *sets[3]; /* of --set */
    const char *error;   /* words in the error; NULL: loads */
};

/* What every program needs, so that a scene shows only what it is about. */
static const char *const base[] = {LIVEKIT, MODEL, KAFKA, DATABASE};

static void put_variable(const char *entry)
{
    const char *equals = strchr(entry, '=');
    AUTO(free_ptr) char *name = xmemdup0(entry, equals ? (size_t)(equals - entry) : strlen(entry));
    if (equals)
        setenv(name, equals + 1, 1);
    else
        unsetenv(name);
}

/* Writes text into a file of the test's folder; returns its owned path. */
static char *write_file(const char *name, const char *text, size_t len, mode_t mode)
{
    char *path = xasprintf("%s/%s", dir, name);
    unlink(path);
    FILE *out = fopen(path, "w");
    if (out) {
        (void)fwrite(text, 1, len, out);
        (void)fclose(out);
    }
    CHECK_INT(chmod(path, mode), 0);
    return path;
}

static struct config *load_scene(const struct scene *s, struct error *ret_err)
{
    clearenv();
    for (size_t i = 0; i < ARRAY_LEN(base); i++)
        put_variable(base[i]);
    for (size_t i = 0; i < ARRAY_LEN(s->env) && s->env[i]; i++)
        put_variable(s->env[i]);
    const char *sets[ARRAY_LEN(s->sets)];
    struct config_args args = {.sets = sets};
    for (size_t i = 0; i < ARRAY_LEN(s->sets) && s->sets[i]; i++)
        sets[args.set_count++] = s->sets[i];
    AUTO(free_ptr) char *path = s->file ? write_file("t.conf", s->file, strlen(s->file), 0600) : NULL;
    args.file = path;
    return config_load(s->program, &args, ret_err);
}

static void run_scenes(const struct scene *scenes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct scene *s = &scenes[i];
        CHECK_LABEL(s->label);
        struct error err = {.text = ""};
        struct config *config = load_scene(s, &err);
        if (!s->error && !config)
            CHECK_FAIL("does not load: %s", err.text);
        else if (s->error && config)
            CHECK_FAIL("loads, want \"%s\"", s->error);
        else if (s->error && !strstr(err.text, s->error))
            CHECK_FAIL("got \"%s\", want \"%s\"", err.text, s->error);
        config_free(config);
    }
}

/* ---- tables ---- */

static void reads_values(void)
{
    static const struct scene scenes[] = {
        {"environment alone", CONSUMER, {0}, NULL, {0}, NULL},
        {"port range", SHIM, {0}, NULL, {"shim.listen=127.0.0.1:99999"}, "the port must be 0 to 65535"},
        {"port negative", SHIM, {0}, NULL, {"shim.listen=127.0.0.1:-1"}, "the port must be 0 to 65535"},
        {"port word", SHIM, {0}, NULL, {"shim.listen=127.0.0.1:abc"}, "shim.listen"},
        {"port with blanks", SHIM, {0}, NULL, {"shim.listen=127.0.0.1: 80x"}, "the port must be 0 to 65535"},
        {"admin off", SHIM, {0}, NULL, {"shim.admin_listen="}, NULL},
        {"admin malformed", CONSUMER, {0}, NULL, {"consumer.admin_listen=9464"}, "consumer.admin_listen"},
        {"no unit", CONSUMER, {0}, NULL, {"claim.lease=10"}, "\"10\" is not a number with a unit, such as 200ms"},
        {"parsecs", CONSUMER, {0}, NULL, {"claim.lease=10 parsecs"}, "is not a number with a unit"},
        {"overflow",
         CONSUMER,
         {0},
         NULL,
         {"claim.lease=99999999999999999999s"},
         "is out of range; allowed is 1s to 1d"},
        {"overflow by the unit", CONSUMER, {0}, NULL, {"claim.lease=9223372036854775807d"}, "is out of range"},
        {"negative", CONSUMER, {0}, NULL, {"claim.lease=-5s"}, "is out of range; allowed is 1s to 1d"},
        {"fraction", CONSUMER, {0}, NULL, {"claim.lease=1.5s"}, "is not a number with a unit"},
        {"empty duration", CONSUMER, {0}, NULL, {"claim.lease="}, "is not a number with a unit"},
        {"never where it may be", CONSUMER, {0}, NULL, {"claim.adopt_after=never"}, NULL},
        {"never elsewhere", CONSUMER, {0}, NULL, {"claim.lease=never"}, "is not a number with a unit"},
        {"no attempts", CONSUMER, {0}, NULL, {"claim.max_attempts=0"}, "\"0\" is out of range; allowed is 1 to 1000"},
        {"attempts as a word", CONSUMER, {0}, NULL, {"claim.max_attempts=five"}, "\"five\" is not a whole number"},
        {"attempts with a tail", CONSUMER, {0}, NULL, {"claim.max_attempts=5x"}, "is not a whole number"},
        {"size without unit", SHIM, {0}, NULL, {"shim.body_limit=65536"}, "such as 512B, 64KiB"},
        {"size with a decimal unit", SHIM, {0}, NULL, {"shim.body_limit=64KB"}, "such as 512B, 64KiB"},
        {"neither true nor false", SHIM, {0}, NULL, {"shim.cut_turn_password=yes"}, "neither true nor false"},
        {"level",
         CONSUMER,
         {0},
         NULL,
         {"log.level=loud"},
         "log.level is \"loud\"; allowed is one of debug, info, warn"},
        {"format", SHIM, {0}, NULL, {"log.format=xml"}, "allowed is one of logfmt, json"},
        {"assignor", CONSUMER, {0}, NULL, {"kafka.assignor=sticky"}, "kafka.assignor"},
        {"on_exhausted", CONSUMER, {0}, NULL, {"claim.on_exhausted=gone"}, "allowed is one of initiated, dropped"},
        {"path without slash", SHIM, {0}, NULL, {"shim.paths=webhook"}, "shim.paths"},
        {"no paths", SHIM, {0}, NULL, {"shim.paths="}, "has 0 items; allowed is 1 to 16"},
        {"empty item", SHIM, {0}, NULL, {"shim.paths=/a,,/b"}, "has an empty item"},
        {"topic", SHIM, {0}, NULL, {"kafka.topic=a b"}, "kafka.topic is no topic name"},
        {"dead letters into the topic", SHIM, {0}, NULL, {"kafka.dead_letter_topic=livekit-webhooks"}, "the same as"},
        {"price", CONSUMER, {0}, NULL, {"llm.price_input=0,30"}, "llm.price_input is no price"},
        {"control character", CONSUMER, {"ROOMCLAIM_LLM_MODEL=a\rb"}, NULL, {0}, "control character"},
        {"64 byte column",
         TOOL,
         {0},
         NULL,
         {"database.id_column="
          "aaaaaaaabbbbbbbbaaaaaaaabbbbbbbbaaaaaaaabbbbbbbbaaaaaaaabbbbbbbb"},
         "is 64 bytes long; at most 63"},
        {"table", TOOL, {0}, NULL, {"database.table=public.\"User\"\"Feedback\""}, NULL},
        {"table alone", TOOL, {0}, NULL, {"database.table=feedback"}, NULL},
        {"injected table", TOOL, {0}, NULL, {"database.table=UserFeedback\"; DROP"}, "must be table or schema.table"},
        {"three parts", TOOL, {0}, NULL, {"database.table=a.b.c"}, "must be table or schema.table"},
        {"open quote", TOOL, {0}, NULL, {"database.table=\"a"}, "must be table or schema.table"},
        {"empty schema", TOOL, {0}, NULL, {"database.table=.a"}, "must be table or schema.table"},
        {"64 byte table",
         TOOL,
         {0},
         NULL,
         {"database.table=s."
          "aaaaaaaabbbbbbbbaaaaaaaabbbbbbbbaaaaaaaabbbbbbbbaaaaaaaabbbbbbbb"},
         "longer than 63 bytes"},
    };
    run_scenes(scenes, ARRAY_LEN(scenes));
}

static void compares_values(void)
{
    static const struct scene scenes[] = {
        {"lease too short",
         CONSUMER,
         {0},
         NULL,
         {"claim.lease=60s"},
         "claim.lease (60 s) must be at least llm.timeout (60 s) plus claim.margin (10 s)"},
        {"lease just right", CONSUMER, {0}, NULL, {"claim.lease=70s"}, NULL},
        {"lease does not matter to the shim", SHIM, {0}, NULL, {"claim.lease=60s"}, NULL},
        {"retry", CONSUMER, {0}, NULL, {"retry.initial=10m"}, "retry.initial (600 s) is longer than retry.max (300 s)"},
        {"breaker", CONSUMER, {0}, NULL, {"breaker.probe_max=1s"}, "breaker.probe_initial (30 s)"},
        {"connect", CONSUMER, {0}, NULL, {"llm.timeout=1s"}, "llm.connect_timeout (5 s)"},
        {"https", CONSUMER, {0}, NULL, {"llm.base_url=https://api.example/v1"}, NULL},
        {"loopback http", CONSUMER, {0}, NULL, {"llm.base_url=http://127.0.0.1:18101/gemini"}, NULL},
        {"loopback http by v6", CONSUMER, {0}, NULL, {"llm.base_url=http://[::1]:1"}, NULL},
        {"loopback http by name", CONSUMER, {0}, NULL, {"llm.base_url=http://localhost"}, NULL},
        {"plain http", CONSUMER, {0}, NULL, {"llm.base_url=http://api.example/"}, "plain http to another host"},
        {"nearly loopback", CONSUMER, {0}, NULL, {"llm.base_url=http://127.0.0.1.example/"}, "plain http"},
        {"file", CONSUMER, {0}, NULL, {"llm.base_url=file:///etc/passwd"}, "must begin with https://"},
        {"user info", CONSUMER, {0}, NULL, {"llm.base_url=https://user:pw@api.example/"}, "user name or password"},
        {"user info that looks local", CONSUMER, {0}, NULL, {"llm.base_url=http://127.0.0.1@evil/"}, "user name"},
        {"link-local", CONSUMER, {0}, NULL, {"llm.base_url=https://169.254.169.254/"}, "link-local"},
        {"link-local decimal", CONSUMER, {0}, NULL, {"llm.base_url=https://2852039166/"}, "link-local"},
        {"link-local hexadecimal", CONSUMER, {0}, NULL, {"llm.base_url=https://0xa9fea9fe/"}, "link-local"},
        {"link-local v6", CONSUMER, {0}, NULL, {"llm.base_url=https://[fe80::1]/"}, "link-local"},
        {"link-local mapped",
         CONSUMER,
         {0},
         NULL,
         {"llm.base_url=https://[::ffff:169.254.169.254]:443/"},
         "link-local"},
        {"no host", CONSUMER, {0}, NULL, {"llm.base_url=https:///v1"}, "has no host"},
        {"bad port", CONSUMER, {0}, NULL, {"llm.base_url=https://h:99999/"}, "has no host, or a malformed one"},
        {"query", CONSUMER, {0}, NULL, {"llm.base_url=https://h/?key=x"}, "must not hold blanks"},
        {"blank", CONSUMER, {0}, NULL, {"llm.base_url=https://h/ x"}, "must not hold blanks"},
        {"reserved acks", SHIM, {0}, NULL, {"kafka.properties=acks=1"}, "acks is reserved for correctness"},
        {"reserved commit",
         CONSUMER,
         {0},
         NULL,
         {"kafka.properties=linger.ms=5,enable.auto.commit=true"},
         "enable.auto.commit is reserved for correctness"},
        {"reserved callback", SHIM, {0}, NULL, {"kafka.properties=dr_msg_cb=x"}, "dr_msg_cb is reserved"},
        {"free property", SHIM, {0}, NULL, {"kafka.properties=linger.ms=5,debug=broker\\,topic"}, NULL},
        {"property without value", SHIM, {0}, NULL, {"kafka.properties=linger.ms"}, "item 1 is not name=value"},
        {"property twice", SHIM, {0}, NULL, {"kafka.properties=linger.ms=5,linger.ms=6"}, "names linger.ms twice"},
        {"profile", SHIM, {0}, NULL, {"security.profile=lax"}, "allowed is one of standard, production"},
        {"production, all local", CONSUMER, {0}, NULL, {"security.profile=production"}, NULL},
        {"production, plain Kafka",
         CONSUMER,
         {0},
         NULL,
         {"security.profile=production", "kafka.bootstrap_servers=k:1"},
         "security.protocol is not ssl or sasl_ssl"},
        {"production, TLS to Kafka",
         CONSUMER,
         {0},
         NULL,
         {"security.profile=production", "kafka.bootstrap_servers=k:1", "kafka.properties=security.protocol=SASL_SSL"},
         NULL},
        {"production, plain database",
         CONSUMER,
         {"DATABASE_URL=postgresql://u@db.example/x?sslmode=require"},
         NULL,
         {"security.profile=production"},
         "sslmode is not verify-full"},
        {"production, verified database",
         CONSUMER,
         {"DATABASE_URL=host=db.example sslmode=verify-full"},
         NULL,
         {"security.profile=production"},
         NULL},
        {"production, PGHOST",
         CONSUMER,
         {"DATABASE_URL", "PGHOST=db.example"},
         NULL,
         {"security.profile=production"},
         "sslmode is not verify-full"},
    };
    run_scenes(scenes, ARRAY_LEN(scenes));
}

static void requires_and_refuses(void)
{
    static const struct scene scenes[] = {
        {"no brokers",
         SHIM,
         {"KAFKA_BOOTSTRAP_SERVERS"},
         NULL,
         {0},
         "kafka.bootstrap_servers is not set: put it into the configuration file, or set KAFKA_BOOTSTRAP_SERVERS"},
        {"no database", CONSUMER, {"DATABASE_URL"}, NULL, {0}, "database.url is not set"},
        {"the shim needs none", SHIM, {"DATABASE_URL"}, NULL, {0}, NULL},
        {"libpq's variables", CONSUMER, {"DATABASE_URL", "PGSERVICE=x"}, NULL, {0}, NULL},
        {"libpq's other variables", CONSUMER, {"DATABASE_URL", "PGPORT=1"}, NULL, {0}, "database.url is not set"},
        {"no model key", CONSUMER, {"GEMINI_API_KEY"}, NULL, {0}, "set GEMINI_API_KEY or ROOMCLAIM_LLM_API_KEY"},
        {"Google's name", CONSUMER, {"GEMINI_API_KEY", "GOOGLE_API_KEY=x"}, NULL, {0}, NULL},
        {"no LiveKit key", SHIM, {"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"}, NULL, {0}, "livekit.api_key is not set"},
        {"key without secret", SHIM, {"LIVEKIT_API_SECRET"}, NULL, {0}, "livekit.api_secret is missing"},
        {"secret without key", SHIM, {"LIVEKIT_API_KEY"}, NULL, {0}, "livekit.api_key is missing"},
        {"a list of keys",
         SHIM,
         {"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "ROOMCLAIM_LIVEKIT_KEYS=a=sa,b=sb"},
         NULL,
         {0},
         NULL},
        {"the same key twice", SHIM, {"ROOMCLAIM_LIVEKIT_KEYS=APIkey=x"}, NULL, {0}, "repeats livekit.api_key"},
        {"placeholder", SHIM, {"LIVEKIT_API_SECRET=changeme"}, NULL, {0}, "livekit.api_secret is a placeholder"},
        {"placeholder in a list", SHIM, {"ROOMCLAIM_LIVEKIT_KEYS=a=CHANGEME"}, NULL, {0}, "(a) is a placeholder"},
        {"masked", CONSUMER, {"GEMINI_API_KEY=***"}, NULL, {0}, "llm.api_key is a placeholder"},
        {"masked password",
         CONSUMER,
         {"DATABASE_URL=postgresql://u:***@h/d"},
         NULL,
         {0},
         "placeholder for the password"},
        {"empty secret", CONSUMER, {"GEMINI_API_KEY="}, NULL, {0}, "llm.api_key is set but empty"},
        {"two names",
         CONSUMER,
         {"GOOGLE_API_KEY=x"},
         NULL,
         {0},
         "llm.api_key comes from two sources, GEMINI_API_KEY and GOOGLE_API_KEY"},
        {"own and known name",
         SHIM,
         {"ROOMCLAIM_LIVEKIT_API_SECRET=x"},
         NULL,
         {0},
         "two sources, LIVEKIT_API_SECRET and ROOMCLAIM_LIVEKIT_API_SECRET"},
        {"file and environment", CONSUMER, {0}, "llm : { api_key = \"x\"; };", {0}, "t.conf:1 and GEMINI_API_KEY"},
        {"another program's secret twice", SHIM, {"GOOGLE_API_KEY=x"}, "llm : { api_key = \"x\"; };", {0}, NULL},
        {"set a secret",
         CONSUMER,
         {"GEMINI_API_KEY"},
         NULL,
         {"llm.api_key=hush"},
         "--set llm.api_key: a secret on the command line is visible to every user; set ROOMCLAIM_LLM_API_KEY"},
        {"set a password", CONSUMER, {0}, NULL, {"database.url=postgresql://u:hush@h/d"}, "visible to every user"},
        {"set an address", CONSUMER, {0}, NULL, {"database.url=postgresql://u@127.0.0.1/d"}, NULL},
        {"set a secret property", SHIM, {0}, NULL, {"kafka.properties=sasl.password=hush"}, "visible to every user"},
        {"set without value", CONSUMER, {0}, NULL, {"claim.lease"}, "--set needs section.key=value"},
        {"set an unknown key",
         CONSUMER,
         {0},
         NULL,
         {"claim.leese=3s"},
         "unknown key claim.leese; did you mean claim.lease?"},
        {"set nonsense", CONSUMER, {0}, NULL, {"qqqqqqqqqqqqqqqq=3s"}, "unknown key qqqqqqqqqqqqqqqq"},
        {"unknown variable",
         CONSUMER,
         {"ROOMCLAIM_CLAIM_LEESE=3s"},
         NULL,
         {0},
         "unknown environment variable ROOMCLAIM_CLAIM_LEESE; did you mean ROOMCLAIM_CLAIM_LEASE?"},
        {"file of no secret", CONSUMER, {"ROOMCLAIM_CLAIM_LEASE_FILE=/x"}, NULL, {0}, "unknown environment variable"},
        {"variables of others",
         CONSUMER,
         {"ROOMCLAIM_TEST_X=1", "ROOMCLAIM_FAULTS=1", "ROOMCLAIM_DEV_Y=1", "ROOMCLAIMX=1"},
         NULL,
         {0},
         NULL},
    };
    run_scenes(scenes, ARRAY_LEN(scenes));
}

static void reads_files(void)
{
    static const struct scene scenes[] = {
        {"all kinds",
         CONSUMER,
         {0},
         "claim : { lease = \"100s\"; max_attempts = 3; };\nkafka = { properties = [ \"debug=broker,topic\", \"a.b=c\" "
         "]; };\n"
         "database : { input_columns = [ \"a\", \"b\" ]; };\nshim : { cut_turn_password = false; };",
         {0},
         NULL},
        {"pairs as a group", SHIM, {0}, "kafka : { properties = { debug = \"x\"; retries = 5; }; };", {0}, NULL},
        {"comment only", CONSUMER, {0}, "# nothing\n", {0}, NULL},
        {"empty section", CONSUMER, {0}, "claim : { };\n", {0}, NULL},
        {"empty", CONSUMER, {0}, "", {0}, "t.conf is empty"},
        {"unknown key",
         CONSUMER,
         {0},
         "kafka : {\n  topic = \"t\";\n  brokres = \"x\";\n};",
         {0},
         "t.conf:3: unknown key kafka.brokres; did you mean kafka.bootstrap_servers?"},
        {"misspelt key",
         CONSUMER,
         {0},
         "claim : {\n\n leese = \"1s\"; };",
         {0},
         "t.conf:3: unknown key claim.leese; did you mean claim.lease?"},
        {"misspelt section",
         CONSUMER,
         {0},
         "clam : { lease = \"1s\"; };",
         {0},
         "unknown key clam.lease; did you mean claim.lease?"},
        {"wrong section", CONSUMER, {0}, "consumer : { lease = \"1s\"; };", {0}, "did you mean claim.lease?"},
        {"no section", CONSUMER, {0}, "lease = \"1s\";", {0}, "did you mean claim.lease?"},
        {"far from everything",
         CONSUMER,
         {0},
         "claim : { zzzzzzzzzzzzzzzzzzz = 1; };",
         {0},
         "unknown key claim.zzzzzzzzzzzzzzzzzzz"},
        {"section is no group", CONSUMER, {0}, "claim = 5;", {0}, "claim must be a group"},
        {"duplicate key",
         CONSUMER,
         {0},
         "claim : {\n lease = \"1s\";\n margin = \"1s\";\n lease = \"2s\";\n};",
         {0},
         "t.conf:4: duplicate key, first set in line 2"},
        {"duplicate section",
         CONSUMER,
         {0},
         "claim : { };\nsweep : { };\nclaim : { };",
         {0},
         "t.conf:3: duplicate key, first set in line 1"},
        {"syntax", CONSUMER, {0}, "claim : {\n lease \"1s\";\n};", {0}, "t.conf:2: syntax error"},
        {"number as string",
         CONSUMER,
         {0},
         "claim : { max_attempts = \"5\"; };",
         {0},
         "t.conf:1: claim.max_attempts must be a whole number"},
        {"number with a point", CONSUMER, {0}, "claim : { max_attempts = 5.0; };", {0}, "must be a whole number"},
        {"duration as number",
         CONSUMER,
         {0},
         "claim : { lease = 120; };",
         {0},
         "claim.lease must be a string with a unit"},
        {"string as number", CONSUMER, {0}, "kafka : { topic = 5; };", {0}, "kafka.topic must be a string in quotes"},
        {"list as string", SHIM, {0}, "shim : { paths = \"/a\"; };", {0}, "shim.paths must be a list of strings"},
        {"truncated number",
         CONSUMER,
         {0},
         "\nclaim : { max_attempts = 4294967301; };",
         {0},
         "t.conf:2: this number does not fit into 32 bits"},
        {"truncated hexadecimal", CONSUMER, {0}, "claim : { max_attempts = 0x100000005; };", {0}, "32 bits"},
        {"long number",
         CONSUMER,
         {0},
         "claim : { max_attempts = 4294967301L; };",
         {0},
         "out of range; allowed is 1 to 1000"},
        {"digits elsewhere",
         CONSUMER,
         {0},
         "# 99999999999\n/* 99999999999\n */ // 9999999999\nkafka : { topic = \"t\\\"99999999999\"; };",
         {0},
         "kafka.topic is no topic name"},
        {"included file",
         CONSUMER,
         {0},
         "claim : { };\n@include \"/etc/passwd\"\n",
         {0},
         "t.conf:2: @include is not supported"},
        {"range",
         CONSUMER,
         {0},
         "claim : { max_attempts = 0; };",
         {0},
         "t.conf:1: claim.max_attempts \"0\" is out of range"},
        {"secret is never quoted",
         SHIM,
         {"LIVEKIT_API_SECRET"},
         "livekit : { api_secret = \"hush\\nhush\"; };",
         {0},
         "livekit.api_secret holds a control character at byte 4"},
    };
    run_scenes(scenes, ARRAY_LEN(scenes));
}

/* ---- precedence and what is derived ---- */

static void later_sources_win(void)
{
    static const struct scene scene = {
        "precedence",
        CONSUMER,
        {"ROOMCLAIM_CLAIM_LEASE=200s", "ROOMCLAIM_CLAIM_MARGIN=2s", "ROOMCLAIM_KAFKA_BOOTSTRAP_SERVERS=own:1"},
        "claim : { lease = \"100s\"; margin = \"1s\"; max_calls = 7; };\nllm : { timeout = \"30s\"; };"
        "database : { url = \"postgresql://file@h/d\"; };",
        {"claim.lease=300s", "kafka.topic=t", "kafka.properties=debug=broker\\,topic, a.b = c"},
        NULL};
    struct error err;
    struct config *c = load_scene(&scene, &err);
    CHECK(c != NULL);
    if (!c)
        return;
    CHECK_INT(c->claim_lease_ms, 300000);
    CHECK_INT(c->claim_margin_ms, 2000);
    CHECK_INT(c->claim_max_calls, 7);
    CHECK_INT(c->claim_max_attempts, 5);
    CHECK_STR(c->kafka_bootstrap_servers, "own:1");
    CHECK_STR(c->database_url, "postgresql://u@127.0.0.1/db"); /* the environment's */
    CHECK_STR(config_dead_letter_topic(c), "t.dlq");
    CHECK_INT(c->consumer_shutdown_grace_ms, 30000); /* 0ms: llm.timeout */
    CHECK_INT(c->claim_adopt_after_ms == CONFIG_NEVER, true);
    CHECK_INT(c->consumer_max_waiting_size_bytes, 16 << 20);
    CHECK_INT(c->kafka_properties.count, 2);
    CHECK_STR(c->kafka_properties.items[0].value, "broker,topic");
    CHECK_STR(c->kafka_properties.items[1].name, "a.b");
    CHECK_STR(c->kafka_properties.items[1].value, "c");
    CHECK(strlen(c->consumer_instance_id) > 2 && strchr(c->consumer_instance_id, '-'));
    CHECK_STR(c->llm_api_key, "model-key");
    CHECK_STR(c->livekit_api_secret, ""); /* the shim's */
    CHECK_INT(c->shim_paths.count, 2);
    config_free(c);
    config_free(NULL);
}

static void classes_tell_usage_from_configuration(void)
{
    static const struct {
        struct scene scene;
        enum error_class class;
    } cases[] = {
        {{.label = "secret", .program = CONSUMER, .env = {"GEMINI_API_KEY"}, .sets = {"llm.api_key=x"}}, ERROR_REJECT},
        {{.label = "unknown", .program = CONSUMER, .sets = {"no.such=x"}}, ERROR_REJECT},
        {{.label = "value", .program = CONSUMER, .sets = {"claim.lease=x"}}, ERROR_OPERATOR},
        {{.label = "variable", .program = CONSUMER, .env = {"ROOMCLAIM_X=1"}}, ERROR_OPERATOR},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].scene.label);
        struct error err = {0};
        CHECK(load_scene(&cases[i].scene, &err) == NULL);
        CHECK_INT(err.class, cases[i].class);
        CHECK(!strchr(err.text, '\n'));
    }
}

/* ---- files on disk ---- */

static void expect_file_error(const char *label, const char *path, const char *words)
{
    CHECK_LABEL(label);
    struct error err = {0};
    clearenv();
    for (size_t i = 0; i < ARRAY_LEN(base); i++)
        put_variable(base[i]);
    struct config *config = config_load(CONSUMER, &(struct config_args){.file = path}, &err);
    if (config || !strstr(err.text, words) || !strstr(err.text, path))
        CHECK_FAIL("got \"%s\", want \"%s\"", config ? "it loads" : err.text, words);
    CHECK_INT(err.class, ERROR_OPERATOR);
    config_free(config);
}

static void refuses_unfit_files(void)
{
    static const char secret[] = "livekit : { api_secret = \"x\"; };";
    static const char password[] = "database : { url = \"host=h password='a b'\"; };";
    static const char property[] = "kafka : { properties = [ \"sasl.password=x\" ]; };";
    AUTO(free_ptr) char *missing = xasprintf("%s/missing", dir);
    AUTO(free_ptr) char *endless = write_file("endless", "x", 1, 0600);
    CHECK_INT(truncate(endless, 1 << 30), 0);
    expect_file_error("missing", missing, "No such file or directory");
    expect_file_error("folder", dir, "Is a directory");
    expect_file_error("device", "/dev/null", "not a plain file");
    expect_file_error("one gigabyte", endless, "File too large");
    AUTO(free_ptr) char *nul = write_file("nul", "claim : { };\0x", 14, 0600);
    expect_file_error("nul byte", nul, "NUL byte");
    AUTO(free_ptr) char *open = write_file("open", secret, strlen(secret), 0644);
    expect_file_error("another program's secret, readable", open, "mode 0644");
    AUTO(free_ptr) char *address = write_file("address", password, strlen(password), 0604);
    expect_file_error("password, readable", address, "database.url");
    AUTO(free_ptr) char *properties = write_file("properties", property, strlen(property), 0660);
    expect_file_error("property, writable by the group", properties, "kafka.properties");
    if (geteuid() == 0) {
        AUTO(free_ptr) char *foreign = write_file("foreign", secret, strlen(secret), 0600);
        CHECK_INT(chown(foreign, 12345, 0), 0);
        expect_file_error("of another user", foreign, "belongs to user id 12345");
    }
    CHECK_LABEL("without a secret anybody may read it");
    AUTO(free_ptr) char *plain = write_file("plain", "claim : { };", 12, 0644);
    struct error err = {0};
    struct config *config = config_load(CONSUMER, &(struct config_args){.file = plain}, &err);
    CHECK(config != NULL);
    config_free(config);
}

static void reads_secrets_from_files(void)
{
    static const struct {
        const char *label, *text;
        mode_t mode;
        const char *error; /* NULL: the key is "the-key" */
    } cases[] = {
        {"plain", "the-key", 0600, NULL},
        {"newline stripped", "the-key\n", 0400, NULL},
        {"carriage return stripped", "the-key\r\n", 0640, NULL},
        {"second newline kept, so refused", "the-key\n\n", 0600, "control character"},
        {"empty", "\n", 0600, "is set but empty"},
        {"placeholder", "changeme\n", 0600, "placeholder"},
        {"readable by all", "the-key", 0644, "mode 0644"},
        {"writable by the group", "the-key", 0660, "mode 0660"},
    };
    static const char *const names[] = {"GEMINI_API_KEY_FILE", "ROOMCLAIM_LLM_API_KEY_FILE", "CREDENTIALS_DIRECTORY"};
    for (size_t i = 0; i < ARRAY_LEN(cases) * ARRAY_LEN(names); i++) {
        const size_t at = i / ARRAY_LEN(names);
        const char *name = names[i % ARRAY_LEN(names)];
        CHECK_LABEL(cases[at].label);
        AUTO(free_ptr) char *path = write_file("llm.api_key", cases[at].text, strlen(cases[at].text), cases[at].mode);
        AUTO(free_ptr) char *entry = xasprintf("%s=%s", name, strstr(name, "_FILE") ? path : dir);
        const struct scene scene = {.program = CONSUMER, .env = {"GEMINI_API_KEY", entry}};
        struct error err = {.text = ""};
        struct config *config = load_scene(&scene, &err);
        if (cases[at].error && (config || !strstr(err.text, cases[at].error)))
            CHECK_FAIL("%s: got \"%s\", want \"%s\"", name, config ? "it loads" : err.text, cases[at].error);
        if (!cases[at].error && (!config || strcmp(config->llm_api_key, "the-key") != 0))
            CHECK_FAIL("%s: %s", name, config ? "another key" : err.text);
        CHECK(!strstr(err.text, "the-key"));
        config_free(config);
        unlink(path);
    }
    CHECK_LABEL("missing");
    const struct scene missing = {.program = CONSUMER, .env = {"GEMINI_API_KEY", "GEMINI_API_KEY_FILE=/no/such"}};
    struct error err = {0};
    CHECK(load_scene(&missing, &err) == NULL && strstr(err.text, "GEMINI_API_KEY_FILE: cannot read /no/such: No such"));
    CHECK_LABEL("file and variable");
    AUTO(free_ptr) char *both = write_file("both", "x", 1, 0600);
    AUTO(free_ptr) char *entry = xasprintf("DATABASE_URL_FILE=%s", both);
    const struct scene twice = {.program = CONSUMER, .env = {entry}};
    CHECK(load_scene(&twice, &err) == NULL && strstr(err.text, "two sources, DATABASE_URL and DATABASE_URL_FILE"));
    CHECK_LABEL("a known variable that is no secret needs no guard");
    AUTO(free_ptr) char *brokers = write_file("brokers", "elsewhere:9092\n", 15, 0644);
    AUTO(free_ptr) char *brokers_entry = xasprintf("KAFKA_BOOTSTRAP_SERVERS_FILE=%s", brokers);
    const struct scene open = {.program = CONSUMER, .env = {"KAFKA_BOOTSTRAP_SERVERS", brokers_entry}};
    struct config *from_file = load_scene(&open, &err);
    CHECK(from_file != NULL && strcmp(from_file->kafka_bootstrap_servers, "elsewhere:9092") == 0);
    config_free(from_file);
    CHECK_LABEL("another program's file is not even opened");
    const struct scene foreign = {.program = SHIM,
                                  .env = {"GEMINI_API_KEY_FILE=/no/such", "DATABASE_URL_FILE=/no/such"}};
    struct config *config = load_scene(&foreign, &err);
    CHECK(config != NULL);
    config_free(config);
}

/* ---- printing ---- */

static char *print(const struct config *config, unsigned program)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config_print(config, program, out);
    (void)fclose(out);
    return text;
}

static void masks_secrets(void)
{
    static const struct {
        const char *url, *want;
    } cases[] = {
        {"postgresql://u:hush@h:5432/d", "url = \"postgresql://u:***@h:5432/d\";"},
        {"postgres://u:hush%40hush@h,g:1/d?sslmode=require", "url = \"postgres://u:***@h,g:1/d?sslmode=require\";"},
        {"postgresql://u:hush@hush@h/d", "url = \"postgresql://u:***@h/d\";"},
        {"postgresql://u:hu/sh@h/d", "url = \"postgresql://u:***@h/d\";"},
        {"postgresql://u@h/d?password=hush&x=1&sslpassword=hush", "?password=***&x=1&sslpassword=***\";"},
        {"postgresql://u@h/d?application_name=a@b", "url = \"postgresql://u@h/d?application_name=a@b\";"},
        {"host=h password=hush dbname=d", "url = \"host=h password=*** dbname=d\";"},
        {"host=h password = 'hu\\'sh sh' dbname=d", "url = \"host=h password = '***' dbname=d\";"},
        {"password=hush\\ hush", "url = \"password=***\";"},
        {"host=h options='-c x=password' user=u", "url = \"host=h options='-c x=password' user=u\";"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_LABEL(cases[i].url);
        AUTO(free_ptr) char *entry = xasprintf("DATABASE_URL=%s", cases[i].url);
        const struct scene scene = {
            .program = CONSUMER,
            .env = {entry, "GEMINI_API_KEY=hush",
                    "ROOMCLAIM_KAFKA_PROPERTIES=sasl.password=hush,x=y,sasl.oauthbearer.config=hush"}};
        struct error err = {.text = ""};
        struct config *config = load_scene(&scene, &err);
        CHECK_STR(err.text, "");
        if (!config)
            continue;
        AUTO(free_ptr) char *text = print(config, CONSUMER);
        if (!strstr(text, cases[i].want))
            CHECK_FAIL("no %s in %s", cases[i].want, text);
        CHECK(!strstr(text, "hush"));
        CHECK(strstr(text, "# api_key = \"***\";") != NULL);
        CHECK(strstr(text, "properties = [ \"sasl.password=***\", \"x=y\", \"sasl.oauthbearer.config=***\" ];") !=
              NULL);
        config_free(config);
    }
}

/* What is printed is read again, and printed the same. */
static void printed_file_loads_again(void)
{
    static const unsigned programs[] = {SHIM, CONSUMER, TOOL};
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        const struct scene first = {.program = programs[i],
                                    .env = {"ROOMCLAIM_LLM_PROMPT_VERSION=\"quoted\\ \xc3\xbc\"",
                                            "ROOMCLAIM_SHIM_EVENTS=a\\,b,c", "ROOMCLAIM_DATABASE_INPUT_READY=a\n\tb",
                                            "ROOMCLAIM_CONSUMER_INSTANCE_ID=me"},
                                    .sets = {"kafka.properties=a.b=c"}};
        struct error err = {.text = ""};
        struct config *config = load_scene(&first, &err);
        CHECK_STR(err.text, "");
        if (!config)
            continue;
        AUTO(free_ptr) char *text = print(config, programs[i]);
        config_free(config);
        const struct scene second = {.program = programs[i], .file = text};
        struct config *again = load_scene(&second, &err);
        CHECK_STR(err.text, "");
        if (!again)
            continue;
        AUTO(free_ptr) char *repeated = print(again, programs[i]);
        CHECK_STR(repeated, text);
        config_free(again);
    }
}

/* The sample with every # before a key taken away is a valid file of defaults. */
static void sample_loads(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config_print_sample(out);
    (void)fclose(out);
    struct error err = {.text = ""};
    const struct scene commented = {.program = CONSUMER, .file = text};
    struct config *config = load_scene(&commented, &err);
    CHECK_STR(err.text, "");
    config_free(config);
    for (char *at = strstr(text, "    # "); at; at = strstr(at + 1, "    # ")) {
        const char *end = at + strcspn(at, "\n");
        const char *equals = strstr(at, " = ");
        const bool is_secret =
            strstr(at, "api_secret") == at + 6 || strstr(at, "api_key") == at + 6 || strstr(at, "keys") == at + 6;
        if (equals && equals < end && end[-1] == ';' && !is_secret)
            at[4] = ' ';
    }
    const struct scene open = {.program = CONSUMER, .file = text};
    config = load_scene(&open, &err);
    CHECK_STR(err.text, "");
    config_free(config);
    free(text);
}

/* The files in the repository are what the program prints; the words say how to make them. */
static void documents_are_current(void)
{
    static const struct {
        const char *file;
        void (*print)(FILE *out);
    } documents[] = {
        {"config/roomclaim.conf", config_print_sample},    /* roomclaim --print-sample */
        {"docs/configuration.md", config_print_reference}, /* roomclaim --print-reference */
    };
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        CHECK_LABEL(documents[i].file);
        const int root_len = (int)(strlen(__FILE__) - strlen("tests/unit/config_test.c"));
        AUTO(free_ptr) char *path = xasprintf("%.*s%s", root_len, __FILE__, documents[i].file);
        struct error err = {.text = ""};
        AUTO(free_ptr) char *found = file_read(path, 1 << 20, NULL, &err);
        CHECK_STR(err.text, "");
        char *printed = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&printed, &len);
        documents[i].print(out);
        (void)fclose(out);
        if (found && strcmp(found, printed) != 0)
            CHECK_FAIL("differs from what the program prints");
        free(printed);
    }
}

int main(void)
{
    static const struct check_test tests[] = {
        {"reads values", reads_values},
        {"compares values", compares_values},
        {"requires and refuses", requires_and_refuses},
        {"reads files", reads_files},
        {"later sources win", later_sources_win},
        {"classes tell usage from configuration", classes_tell_usage_from_configuration},
        {"refuses unfit files", refuses_unfit_files},
        {"reads secrets from files", reads_secrets_from_files},
        {"masks secrets", masks_secrets},
        {"printed file loads again", printed_file_loads_again},
        {"sample loads", sample_loads},
        {"documents are current", documents_are_current},
    };
    if (!mkdtemp(dir))
        return 1;
    const int bad = check_run(tests, ARRAY_LEN(tests));
    AUTO(free_ptr) char *command = xasprintf("rm -r %s", dir);
    return system(command) == 0 ? bad : 1;
}
