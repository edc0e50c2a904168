/* A PKCS#11 module that stands in front of another one (TOKEN_MODULE) and adds what a token in
 * hardware has and SoftHSM2 has not. By files in the directory TOKEN_WORLD:
 *   tries   how many wrong PINs were given since the last right one; the third locks the token
 *   lies    while it is there, one bit of each signature is wrong
 * By the environment: TOKEN_DIES_AT=N ends the process in front of the Nth change of an object,
 * as a power cut would. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef ulong_t (*call)();

struct functions {
    unsigned char version[2];
    call at[68];
};
struct token_info { /* CK_TOKEN_INFO up to its flags */
    unsigned char names[96];
    ulong_t flags;
};

enum { TOKEN_INFO = 6, LOGIN = 18, DESTROY = 22, SET_VALUE = 25, SIGN = 43, MAKE_PAIR = 59 };
enum { PIN_INCORRECT = 0xa0, PIN_LOCKED = 0xa4, MOST_TRIES = 3 };
enum { COUNT_LOW = 1 << 16, FINAL_TRY = 1 << 17, LOCKED = 1 << 18 };

static struct functions *real, ours;
static int changes;

static const char *in_world(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("TOKEN_WORLD"), name);
    return path;
}

static int tries(void) {
    FILE *file = fopen(in_world("tries"), "r");
    int count = 0;
    if (file) {
        if (fscanf(file, "%d", &count) != 1)
            count = 0;
        fclose(file);
    }
    return count;
}

static void set_tries(int count) {
    FILE *file = fopen(in_world("tries"), "w");
    fprintf(file, "%d\n", count);
    fclose(file);
}

static void change(void) {
    const char *dies_at = getenv("TOKEN_DIES_AT");
    if (dies_at && ++changes == atoi(dies_at))
        _exit(9);
}

static ulong_t token_info(ulong_t slot, struct token_info *info) {
    ulong_t answer = real->at[TOKEN_INFO](slot, info);
    int count = tries();
    if (!answer && count)
        info->flags |= COUNT_LOW | (count == MOST_TRIES - 1 ? FINAL_TRY : 0) |
                       (count >= MOST_TRIES ? LOCKED : 0);
    return answer;
}

static ulong_t login(ulong_t session, ulong_t user, unsigned char *pin, ulong_t length) {
    ulong_t answer;
    if (tries() >= MOST_TRIES)
        return PIN_LOCKED;
    answer = real->at[LOGIN](session, user, pin, length);
    if (!answer || answer == PIN_INCORRECT)
        set_tries(answer ? tries() + 1 : 0);
    return answer;
}

static ulong_t destroy(ulong_t session, ulong_t object) {
    change();
    return real->at[DESTROY](session, object);
}

static ulong_t set_value(ulong_t session, ulong_t object, void *template, ulong_t count) {
    change();
    return real->at[SET_VALUE](session, object, template, count);
}

static ulong_t make_pair(ulong_t session, void *mechanism, void *public, ulong_t public_count,
                         void *private, ulong_t private_count, void *public_key,
                         void *private_key) {
    change();
    return real->at[MAKE_PAIR](session, mechanism, public, public_count, private, private_count,
                               public_key, private_key);
}

static ulong_t sign(ulong_t session, void *data, ulong_t length, unsigned char *signature,
                    ulong_t *signature_length) {
    ulong_t answer = real->at[SIGN](session, data, length, signature, signature_length);
    if (!answer && signature && !access(in_world("lies"), F_OK))
        signature[0] ^= 1;
    return answer;
}

ulong_t C_GetFunctionList(struct functions **list) {
    void *module = dlopen(getenv("TOKEN_MODULE"), RTLD_NOW | RTLD_LOCAL);
    call get = module ? (call)dlsym(module, "C_GetFunctionList") : NULL;
    if (!get || get(&real))
        return 5; /* CKR_GENERAL_ERROR */
    memcpy(&ours, real, sizeof ours);
    ours.at[TOKEN_INFO] = token_info;
    ours.at[LOGIN] = login;
    ours.at[DESTROY] = destroy;
    ours.at[SET_VALUE] = set_value;
    ours.at[SIGN] = sign;
    ours.at[MAKE_PAIR] = make_pair;
    *list = &ours;
    return 0;
}
