/* A sound card for tests: an ALSA capture plugin (ioplug) with a crystal that never stops.
 *
 *   pcm.NAME { type simmic file "sound.raw" channels 1 rate 48000 ppm 40.0 periods 64
 *              format "S16_LE" ctl "what-ails-it" }
 *
 * Sample k of the stream is frame k of the file, which is played round and round, and is converted
 * k / (rate * (1 + ppm / 1e6)) seconds after the start, by CLOCK_MONOTONIC. A reader that lets more
 * wait than the buffer holds gets an overrun, and goes on with the sample that is due when it
 * restarts, as with a real card. SIMMIC_TRUTH names a file that is told what truly happened:
 *
 *   start HOST_NS buffer FRAMES period FRAMES
 *   lost FRAMES at INDEX until HOST_NS
 *
 * The samples of the file are of `format`. While the file `ctl` exists, its first letter ails the
 * card: 'u' it is unplugged (no such device, to whoever opens or reads it), 'b' somebody else has it,
 * 'm' it converts no more and says nothing of it, 'h' a transfer does not return.
 * Errors of the sound file are those of opening the device.
 */
#define _GNU_SOURCE
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL

struct card {
    snd_pcm_ioplug_t io;
    int file, timer;
    int64_t file_frames, frame_bytes;
    double rate_hz;     /* the true one */
    int64_t started_ns; /* 0 before the first start */
    int64_t origin;     /* index of the first frame since the last start */
    int64_t next;       /* index of the next frame to be handed over */
    int64_t mute_at;    /* frames converted when it became mute; 0 while it is not */
    char *ctl;          /* what ails it is in this file; NULL: nothing ever does */
};

static char ail(const char *ctl)
{
    char letter = 0;
    int told = ctl ? open(ctl, O_RDONLY | O_CLOEXEC) : -1;
    if (told < 0)
        return 0;
    if (read(told, &letter, 1) != 1)
        letter = 0;
    close(told);
    return letter;
}

static int64_t host_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Frames converted since the first start; none more once it is mute. */
static int64_t converted(struct card *card)
{
    int64_t frames = (double)(host_ns() - card->started_ns) / NS_PER_S * card->rate_hz;
    if (ail(card->ctl) != 'm')
        card->mute_at = 0;
    else if (!card->mute_at)
        card->mute_at = frames;
    return card->mute_at ? card->mute_at : frames;
}

static void tell(const struct card *card, int64_t lost)
{
    const char *name = getenv("SIMMIC_TRUTH");
    FILE *truth = name ? fopen(name, "a") : NULL;
    if (!truth)
        return;
    if (lost)
        fprintf(truth, "lost %" PRId64 " at %" PRId64 " until %" PRId64 "\n", lost,
                card->next - lost, host_ns());
    else
        fprintf(truth, "start %" PRId64 " buffer %lu period %lu\n", card->started_ns,
                card->io.buffer_size, card->io.period_size);
    fclose(truth);
}

static void wake_each(const struct card *card, int64_t ns)
{
    struct timespec every = {ns / NS_PER_S, ns % NS_PER_S};
    struct itimerspec pace = {every, every};
    timerfd_settime(card->timer, 0, &pace, NULL);
}

static int card_start(snd_pcm_ioplug_t *io)
{
    struct card *card = io->private_data;
    if (ail(card->ctl) == 'u')
        return -ENODEV;
    if (!card->started_ns) {
        card->started_ns = host_ns();
        tell(card, 0);
    } else {
        int64_t lost = converted(card) - card->next;
        card->next += lost;
        if (lost)
            tell(card, lost);
    }
    card->origin = card->next;
    wake_each(card, (int64_t)(NS_PER_S * io->period_size / card->rate_hz));
    return 0;
}

static int card_stop(snd_pcm_ioplug_t *io)
{
    wake_each(io->private_data, 0);
    return 0;
}

static snd_pcm_sframes_t card_pointer(snd_pcm_ioplug_t *io)
{
    struct card *card = io->private_data;
    if (ail(card->ctl) == 'u')
        return -ENODEV;
    int64_t now = converted(card);
    if (now - card->next > (int64_t)io->buffer_size)
        return -EPIPE;
    return (now - card->origin) % io->buffer_size;
}

static int card_delay(snd_pcm_ioplug_t *io, snd_pcm_sframes_t *delay)
{
    struct card *card = io->private_data;
    *delay = converted(card) - card->next;
    return 0;
}

static snd_pcm_sframes_t card_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *area,
                                       snd_pcm_uframes_t offset, snd_pcm_uframes_t frames)
{
    struct card *card = io->private_data;
    char *to = (char *)area->addr + (area->first + area->step * offset) / 8;
    snd_pcm_uframes_t done = 0;
    while (ail(card->ctl) == 'h')
        usleep(10000);
    while (done < frames) {
        int64_t at = card->next % card->file_frames;
        int64_t take = card->file_frames - at;
        if (take > (int64_t)(frames - done))
            take = frames - done;
        if (pread(card->file, to, take * card->frame_bytes, at * card->frame_bytes) < 0)
            return -EIO;
        to += take * card->frame_bytes;
        card->next += take;
        done += take;
    }
    return frames;
}

static int card_poll_revents(snd_pcm_ioplug_t *io, struct pollfd *polled, unsigned int count,
                             unsigned short *events)
{
    struct card *card = io->private_data;
    uint64_t ticks;
    (void)count;
    if (polled[0].revents & POLLIN && read(card->timer, &ticks, sizeof ticks) < 0)
        return -errno;
    *events = converted(card) - card->next >= (int64_t)io->period_size ? POLLIN : 0;
    if (ail(card->ctl) == 'u')
        *events = POLLERR;
    return 0;
}

static int card_close(snd_pcm_ioplug_t *io)
{
    struct card *card = io->private_data;
    close(card->file);
    close(card->timer);
    free(card->ctl);
    free(card);
    return 0;
}

static const snd_pcm_ioplug_callback_t CALLBACKS = {
    .start = card_start,
    .stop = card_stop,
    .pointer = card_pointer,
    .delay = card_delay,
    .transfer = card_transfer,
    .poll_revents = card_poll_revents,
    .close = card_close,
};

static int limit(snd_pcm_ioplug_t *io, unsigned int format, long channels, long rate_hz,
                 long periods)
{
    static const unsigned int access[] = {SND_PCM_ACCESS_RW_INTERLEAVED,
                                          SND_PCM_ACCESS_MMAP_INTERLEAVED};
    int error = 0;
#define LIMIT(what, ...) (error = error ? error : snd_pcm_ioplug_set_param_##what(io, __VA_ARGS__))
    LIMIT(list, SND_PCM_IOPLUG_HW_ACCESS, 2, access);
    LIMIT(list, SND_PCM_IOPLUG_HW_FORMAT, 1, &format);
    LIMIT(minmax, SND_PCM_IOPLUG_HW_CHANNELS, channels, channels);
    LIMIT(minmax, SND_PCM_IOPLUG_HW_RATE, rate_hz, rate_hz);
    LIMIT(minmax, SND_PCM_IOPLUG_HW_PERIOD_BYTES, 128, 1 << 18);
    LIMIT(minmax, SND_PCM_IOPLUG_HW_PERIODS, 2, periods);
    return error;
}

static int make(snd_pcm_t **made, const char *name, snd_pcm_stream_t stream, int mode,
                const char *file, const char *ctl, const char *format_name, double ppm,
                long channels, long rate_hz, long periods)
{
    struct stat size;
    char ails = ail(ctl);
    if (ails == 'u' || ails == 'b')
        return ails == 'u' ? -ENODEV : -EBUSY;
    snd_pcm_format_t format = snd_pcm_format_value(format_name);
    struct card *card = calloc(1, sizeof *card);
    if (!card)
        return -ENOMEM;
    card->rate_hz = rate_hz * (1 + ppm * 1e-6);
    card->frame_bytes = snd_pcm_format_physical_width(format) / 8 * channels;
    card->file = open(file, O_RDONLY | O_CLOEXEC);
    if (card->file < 0 || fstat(card->file, &size) < 0 || size.st_size < card->frame_bytes) {
        free(card);
        return -ENODEV;
    }
    card->ctl = ctl ? strdup(ctl) : NULL;
    card->file_frames = size.st_size / card->frame_bytes;
    card->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    card->io.version = SND_PCM_IOPLUG_VERSION;
    card->io.name = "simulated microphone";
    card->io.callback = &CALLBACKS;
    card->io.private_data = card;
    card->io.poll_fd = card->timer;
    card->io.poll_events = POLLIN;
    card->io.flags = SND_PCM_IOPLUG_FLAG_MONOTONIC;
    int error = snd_pcm_ioplug_create(&card->io, name, stream, mode);
    if (error < 0) {
        card_close(&card->io);
        return error;
    }
    *made = card->io.pcm;
    return limit(&card->io, format, channels, rate_hz, periods);
}

SND_PCM_PLUGIN_DEFINE_FUNC(simmic)
{
    snd_config_iterator_t at, next;
    const char *file = "", *ctl = NULL, *format = "S16_LE";
    double ppm = 0;
    long channels = 1, rate_hz = 48000, periods = 64;
    (void)root;
    snd_config_for_each(at, next, conf)
    {
        snd_config_t *node = snd_config_iterator_entry(at);
        const char *key;
        if (snd_config_get_id(node, &key) < 0)
            continue;
        if (!strcmp(key, "file"))
            snd_config_get_string(node, &file);
        else if (!strcmp(key, "ctl"))
            snd_config_get_string(node, &ctl);
        else if (!strcmp(key, "format"))
            snd_config_get_string(node, &format);
        else if (!strcmp(key, "ppm"))
            snd_config_get_ireal(node, &ppm);
        else if (!strcmp(key, "channels"))
            snd_config_get_integer(node, &channels);
        else if (!strcmp(key, "rate"))
            snd_config_get_integer(node, &rate_hz);
        else if (!strcmp(key, "periods"))
            snd_config_get_integer(node, &periods);
    }
    if (stream != SND_PCM_STREAM_CAPTURE)
        return -EINVAL;
    return make(pcmp, name, stream, mode, file, ctl, format, ppm, channels, rate_hz, periods);
}
SND_PCM_PLUGIN_SYMBOL(simmic);
