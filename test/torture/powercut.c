/*
 * Preloaded into a gateway that will be cut off. Writes down, below PC_ROOT, what a power cut could not take away:
 *
 *   S ino size upto        a file was synced: its first `size` bytes last, and the name changes numbered up to `upto` preceded
 *   D path upto            a directory was synced
 *   F ino size path        a sync was made to fail; what was not synced before it is lost for good, whatever is synced later
 *   T ino size             a file was cut to `size`
 *   W ino offset           bytes that were there were written over
 *   C seq ino path         a file came to be
 *   M seq path             a directory came to be
 *   R seq ino from to kept a file was renamed; `kept` is a link to what it replaced, or -
 *   U seq ino path kept    a name was removed; `kept` is a link to what it named
 *
 * PC_JOURNAL names the file to write to, PC_KEEP a folder on the same disk for the links. PC_FAIL_AT=N lets the Nth sync
 * fail with PC_ERRNO (EIO where unset), and all after it too with PC_FAIL_ALL. Fields are separated by tabs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t names = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int journal = -1;
static const char *root;
static size_t root_length;
static const char *keep;
static long fail_at, fail_all, fail_errno;
static long syncs;
static long sequence;
static long kept_count;

#define REAL(name) ((__typeof__(&name))real_##name)
#define FIND(name) real_##name = dlsym(RTLD_NEXT, #name)
static void *real_fopen, *real_fopen64, *real_open, *real_open64, *real_openat, *real_openat64, *real_rename, *real_unlink, *real_unlinkat, *real_mkdir,
  *real_fsync, *real_fdatasync, *real_ftruncate, *real_ftruncate64, *real_write, *real_pwrite, *real_pwrite64;

static void begin(void) {
  FIND(fopen); FIND(fopen64); FIND(open); FIND(open64); FIND(openat); FIND(openat64); FIND(rename); FIND(unlink); FIND(unlinkat); FIND(mkdir);
  FIND(fsync); FIND(fdatasync); FIND(ftruncate); FIND(ftruncate64); FIND(write); FIND(pwrite); FIND(pwrite64);
  root = getenv("PC_ROOT");
  root_length = root ? strlen(root) : 0;
  keep = getenv("PC_KEEP");
  const char *path = getenv("PC_JOURNAL");
  if (root && path) journal = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const char *at = getenv("PC_FAIL_AT"), *number = getenv("PC_ERRNO");
  fail_at = at ? atol(at) : 0;
  fail_all = getenv("PC_FAIL_ALL") != NULL;
  fail_errno = number ? atol(number) : EIO;
}

static void ready(void) { pthread_once(&once, begin); }

static void say(const char *form, ...) {
  char line[3 * PATH_MAX];
  va_list rest;
  va_start(rest, form);
  int length = vsnprintf(line, sizeof line, form, rest);
  va_end(rest);
  if (length > 0 && (size_t)length < sizeof line) (void)!REAL(write)(journal, line, (size_t)length);
}

/* Whether the path lies below the root; relative paths are not ours: the gateway uses absolute ones. */
static int ours(const char *path) {
  return journal >= 0 && path && strncmp(path, root, root_length) == 0 && path[root_length] == '/';
}

static int path_of(int fd, char *path) {
  char link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return ours(path) || (journal >= 0 && strcmp(path, root) == 0);
}

/* A link that outlives the name; `-` where there is none. */
static void keep_link(const char *path, char *kept) {
  snprintf(kept, PATH_MAX, "%s/%d-%ld", keep ? keep : "", (int)getpid(), ++kept_count);
  if (!keep || link(path, kept) != 0) strcpy(kept, "-");
}

static int opened(int fd, const char *path, int flags, int was_there) {
  struct stat st;
  if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) return fd;
  if (!was_there) {
    pthread_mutex_lock(&names);
    say("C\t%ld\t%llu\t%s\n", ++sequence, (unsigned long long)st.st_ino, path);
    pthread_mutex_unlock(&names);
  } else if (flags & O_TRUNC) say("T\t%llu\t0\n", (unsigned long long)st.st_ino);
  return fd;
}

#define OPEN(name) int name(const char *path, int flags, ...) { \
  ready(); \
  va_list rest; va_start(rest, flags); mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; va_end(rest); \
  int watched = (flags & (O_CREAT | O_TRUNC)) && ours(path); \
  int was_there = watched && access(path, F_OK) == 0; \
  int fd = REAL(name)(path, flags, mode); \
  return watched ? opened(fd, path, flags, was_there) : fd; }
OPEN(open)
OPEN(open64)
#define OPENAT(name) int name(int at, const char *path, int flags, ...) { \
  ready(); \
  va_list rest; va_start(rest, flags); mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; va_end(rest); \
  int watched = (flags & (O_CREAT | O_TRUNC)) && ours(path); \
  int was_there = watched && access(path, F_OK) == 0; \
  int fd = REAL(name)(at, path, flags, mode); \
  return watched ? opened(fd, path, flags, was_there) : fd; }
OPENAT(openat)
OPENAT(openat64)

/* LevelDB writes through stdio. */
#define FOPEN(name) FILE *name(const char *path, const char *mode) { \
  ready(); \
  int watched = mode[0] != 'r' && ours(path); \
  int was_there = watched && access(path, F_OK) == 0; \
  FILE *file = REAL(name)(path, mode); \
  if (watched && file) opened(fileno(file), path, mode[0] == 'w' ? O_TRUNC : 0, was_there); \
  return file; }
FOPEN(fopen)
FOPEN(fopen64)

int mkdir(const char *path, mode_t mode) {
  ready();
  int result = REAL(mkdir)(path, mode);
  if (result == 0 && ours(path)) {
    pthread_mutex_lock(&names);
    say("M\t%ld\t%s\n", ++sequence, path);
    pthread_mutex_unlock(&names);
  }
  return result;
}

int rename(const char *from, const char *to) {
  ready();
  struct stat st;
  if (!ours(from) || stat(from, &st)) return REAL(rename)(from, to);
  char kept[PATH_MAX] = "-";
  pthread_mutex_lock(&names);
  if (access(to, F_OK) == 0) keep_link(to, kept);
  int result = REAL(rename)(from, to), cause = errno;
  if (result == 0) say("R\t%ld\t%llu\t%s\t%s\t%s\n", ++sequence, (unsigned long long)st.st_ino, from, to, kept);
  pthread_mutex_unlock(&names);
  errno = cause;
  return result;
}

static int removed(const char *path, int (*remove_it)(const char *, int, int), int at, int flags) {
  struct stat st;
  if (!ours(path) || stat(path, &st) || !S_ISREG(st.st_mode)) return remove_it(path, at, flags);
  char kept[PATH_MAX];
  pthread_mutex_lock(&names);
  keep_link(path, kept);
  int result = remove_it(path, at, flags), cause = errno;
  if (result == 0) say("U\t%ld\t%llu\t%s\t%s\n", ++sequence, (unsigned long long)st.st_ino, path, kept);
  pthread_mutex_unlock(&names);
  errno = cause;
  return result;
}
static int by_unlink(const char *path, int at, int flags) { (void)at; (void)flags; return REAL(unlink)(path); }
static int by_unlinkat(const char *path, int at, int flags) { return REAL(unlinkat)(at, path, flags); }
int unlink(const char *path) { ready(); return removed(path, by_unlink, 0, 0); }
int unlinkat(int at, const char *path, int flags) { ready(); return removed(path, by_unlinkat, at, flags); }

/* The size is asked before the sync: what is appended meanwhile may or may not be in it. */
static int synced(int fd, int (*sync_it)(int)) {
  char path[PATH_MAX];
  struct stat st;
  if (journal < 0 || fstat(fd, &st) || !path_of(fd, path)) return sync_it(fd);
  long upto = __atomic_load_n(&sequence, __ATOMIC_SEQ_CST);
  long nth = __atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST);
  if (fail_at && (nth == fail_at || (fail_all && nth > fail_at))) {
    say("F\t%llu\t%lld\t%s\n", (unsigned long long)st.st_ino, (long long)st.st_size, path);
    errno = (int)fail_errno;
    return -1;
  }
  int result = sync_it(fd);
  if (result != 0) return result;
  if (S_ISDIR(st.st_mode)) say("D\t%s\t%ld\n", path, upto);
  else say("S\t%llu\t%lld\t%ld\n", (unsigned long long)st.st_ino, (long long)st.st_size, upto);
  return 0;
}
int fsync(int fd) { ready(); return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { ready(); return synced(fd, REAL(fdatasync)); }

#define TRUNCATE(name, type) int name(int fd, type size) { \
  ready(); \
  int result = REAL(name)(fd, size); \
  char path[PATH_MAX]; struct stat st; \
  if (result == 0 && journal >= 0 && path_of(fd, path) && !fstat(fd, &st)) \
    say("T\t%llu\t%lld\n", (unsigned long long)st.st_ino, (long long)size); \
  return result; }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

/* What is written at an offset below the end of a file replaces bytes, which lengths cannot tell. */
static void note_overwrite(int fd, off_t offset) {
  char path[PATH_MAX];
  struct stat st;
  if (journal < 0 || fd == journal || fstat(fd, &st) || !S_ISREG(st.st_mode) || offset >= st.st_size || !path_of(fd, path)) return;
  say("W\t%llu\t%lld\n", (unsigned long long)st.st_ino, (long long)offset);
}

ssize_t write(int fd, const void *bytes, size_t size) {
  ready();
  if (journal >= 0) {
    int cause = errno;
    off_t offset = lseek(fd, 0, SEEK_CUR);
    if (offset >= 0 && !(fcntl(fd, F_GETFL) & O_APPEND)) note_overwrite(fd, offset);
    errno = cause;
  }
  return REAL(write)(fd, bytes, size);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) { ready(); note_overwrite(fd, offset); return REAL(pwrite)(fd, bytes, size, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) { ready(); note_overwrite(fd, offset); return REAL(pwrite64)(fd, bytes, size, offset); }
