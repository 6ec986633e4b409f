// A program with the shared library that loads two plugins, each with a copy of the library of its own.
//
// What must hold: the three are different code; each works, also on three OS threads at the same time; and a
// loop of one copy runs inside a coroutine of another, as any blocking call would, neither knowing of the
// other.
#include <dlfcn.h>
#include <evcorothread/ev_loop.h>
#include <evcorothread/evthread.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

using namespace evcorothread;
using namespace std::chrono_literals;

namespace {

constexpr int kRounds = 200;

struct Plugin {
    void* library;
    const void* (*identity)();
    bool (*is_in_a_coroutine)();
    int (*echoes)(int rounds);
};

void demand(bool holds, const char* what) {
    if (holds) return;
    std::printf("%s\n", what);
    std::exit(1);
}

Plugin load(const char* path) {
    void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) demand(false, dlerror());
    return {library, reinterpret_cast<const void* (*)()>(dlsym(library, "plugin_identity")),
            reinterpret_cast<bool (*)()>(dlsym(library, "plugin_is_in_a_coroutine")),
            reinterpret_cast<int (*)(int)>(dlsym(library, "plugin_echoes"))};
}

// In a coroutine of the host's copy, between two waits of it.
void nested(const Plugin& plugin) {
    corothread::StackPool stacks({.count = 1, .pages = 64});
    EvLoop loop(stacks);
    bool done = false;
    loop.spawn("host", [&] {
        demand(this_evthread::in_evthread(), "the host's copy does not know its coroutine");
        demand(!plugin.is_in_a_coroutine(), "a plugin's copy believes that the host's coroutine is its own");
        demand(!this_evthread::delay(1ms), "the host cannot wait");
        demand(plugin.echoes(kRounds) == kRounds, "a plugin's loop does not run in the host's coroutine");
        demand(this_evthread::in_evthread(), "the host's coroutine is forgotten");
        done = !this_evthread::delay(1ms);
    });
    loop.run();
    demand(done, "the host's coroutine has not ended");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const Plugin a = load(argv[1]), b = load(argv[2]);
    const void* const own = reinterpret_cast<const void*>(&STACKS_init);
    demand(a.identity() != b.identity() && a.identity() != own && b.identity() != own,
           "they are not three copies");
    int right[2] = {};
    std::thread first([&] { right[0] = a.echoes(kRounds); }), second([&] { right[1] = b.echoes(kRounds); });
    nested(a);
    first.join();
    second.join();
    demand(right[0] == kRounds && right[1] == kRounds, "a plugin's copy does not work beside another");
    nested(b);
    demand(dlclose(a.library) == 0 && b.echoes(kRounds) == kRounds, "one copy does not outlive another");
    std::printf("three copies\n");
}
