// libevclockcheck: finds pthread mutexes (std::mutex, std::lock_guard) that a coroutine holds while another
// one runs. That is a deadlock in waiting: the other one may want the same mutex, and then blocks the OS
// thread that the first would need to let go. evcorothread::Mutex is for that.
//
//   LD_PRELOAD=libevclockcheck.so ./server                       linked with the shared libraries
//   g++ … -Wl,--whole-archive -levclockcheck -Wl,--no-whole-archive …   linked with the archives
//   EVCOROTHREAD_LOCKCHECK=abort                                  ends the process at the first one
//
// It stands in for pthread_mutex_lock, _trylock and _unlock, and remembers who locked what where. Whenever
// anything on the same OS thread locks or unlocks while a coroutine that does not run holds a mutex, both
// places are named on stderr: where it was locked, and where its holder waits. A loop locks its inbox before
// it sleeps, so a mutex that is held over a real wait is found then, at the latest. Each mutex is named once.
//
// Not seen: mutexes locked outside of coroutines, by pthread_mutex_timedlock, by pthread_rwlock_* or by spin
// locks; more than 32 held at once on one OS thread. Cost: a backtrace for each lock in a coroutine, about 5
// µs: for tests.
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
// In evcorothread, if it is there.
[[gnu::weak]] std::uint64_t evcorothread_current(void** thread);
[[gnu::weak]] void evcorothread_describe(void* thread, std::uint64_t id, void (*line)(const char* text));
[[gnu::weak]] void evcorothread_write_frames(void* const* frames, int count);
}

namespace {

using Call = int (*)(pthread_mutex_t*);

Call next_of(const char* name) { return reinterpret_cast<Call>(::dlsym(RTLD_NEXT, name)); }

constexpr int kFrames = 24;

struct Held {
    pthread_mutex_t* mutex = nullptr;
    void* thread = nullptr;
    std::uint64_t id = 0;
    bool named = false;
    int count = 0;
    std::array<void*, kFrames> frames;
};

struct OsThread {
    bool inside = false;  // what is done here locks, too
    std::size_t count = 0;
    std::array<Held, 32> held;
};
__thread OsThread* mine = nullptr;

OsThread* this_os_thread() {
    if (mine == nullptr) mine = static_cast<OsThread*>(std::calloc(1, sizeof(OsThread)));
    return mine;
}

void print(const char* text) { (void)!::write(STDERR_FILENO, text, std::strlen(text)); }

void name_both_places(Held& held) {
    held.named = true;
    char text[160];
    std::snprintf(text, sizeof text,
                  "a pthread mutex (%p) is held across a switch by coroutine %llu; it was locked here:\n",
                  static_cast<void*>(held.mutex), static_cast<unsigned long long>(held.id));
    print(text);
    if (evcorothread_write_frames != nullptr)
        evcorothread_write_frames(held.frames.data(), held.count);
    else
        ::backtrace_symbols_fd(held.frames.data(), held.count, STDERR_FILENO);
    print("and its holder waits here:\n  ");
    evcorothread_describe(held.thread, held.id, &print);
    const char* const wish = std::getenv("EVCOROTHREAD_LOCKCHECK");
    if (wish != nullptr && std::strcmp(wish, "abort") == 0) std::abort();
}

// What the current OS thread has seen locked, while somebody else than the holder runs.
void look_at(OsThread& self, std::uint64_t runs) {
    for (std::size_t i = 0; i < self.count; ++i)
        if (self.held[i].id != runs && !self.held[i].named) name_both_places(self.held[i]);
}

// Runs what it is given unless it is already at it, or there is no evcorothread in this program.
template <class F>
void guarded(F&& f) {
    if (evcorothread_current == nullptr) return;
    OsThread* const self = this_os_thread();
    if (self == nullptr || self->inside) return;
    self->inside = true;
    void* thread = nullptr;
    const std::uint64_t id = evcorothread_current(&thread);
    f(*self, thread, id);
    self->inside = false;
}

void locked(pthread_mutex_t* mutex) {
    guarded([mutex](OsThread& self, void* thread, std::uint64_t id) {
        look_at(self, id);
        if (thread == nullptr || self.count == self.held.size()) return;
        Held& held = self.held[self.count++];
        held.mutex = mutex;
        held.thread = thread;
        held.id = id;
        held.named = false;
        held.count = ::backtrace(held.frames.data(), kFrames);
    });
}

void unlocked(pthread_mutex_t* mutex) {
    guarded([mutex](OsThread& self, void*, std::uint64_t id) {
        look_at(self, id);
        for (std::size_t i = self.count; i-- > 0;) {
            if (self.held[i].mutex != mutex) continue;
            self.held[i] = self.held[--self.count];
            break;
        }
    });
}

}  // namespace

#define STANDS_IN extern "C" [[gnu::visibility("default")]] int

STANDS_IN pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
    static const Call next = next_of("pthread_mutex_lock");
    const int result = next(mutex);
    if (result == 0) locked(mutex);
    return result;
}

STANDS_IN pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
    static const Call next = next_of("pthread_mutex_trylock");
    const int result = next(mutex);
    if (result == 0) locked(mutex);
    return result;
}

STANDS_IN pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
    static const Call next = next_of("pthread_mutex_unlock");
    unlocked(mutex);
    return next(mutex);
}
