// scenario: a short life of a part of the toolkit, perhaps with a system call that fails; and a verdict.
//
//   out/release/test/scenario                                                names of the scenarios
//   out/release/test/scenario tcp                                            one of them
//   out/release/test/scenario tcp -e inject=accept4:error=EMFILE:when=2      what follows the name goes to
//   strace
//
// Ends with 0 when all is well: everything worked, or what did not was said on stderr, and the scenario ended
// by itself with nothing left. 1: it was not. 77: strace may not trace here.
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "test/faults/launcher.h"
#include "test/faults/scenario.h"

namespace {

constexpr std::pair<std::string_view, faults::Scenario> kScenarios[] = {
    {"loops", faults::loops},
    {"tcp", faults::tcp},
    {"udp", faults::udp},
    {"names", faults::names},
    {"relays", faults::relays},
    {"tls", faults::tls},
    {"threads", faults::threads},
    {"children", faults::children},
    {"workers", faults::workers},
    {"web_coroutine", faults::web_coroutine},
    {"web_thread", faults::web_thread},
    {"web_event", faults::web_event},
    {"web_pages", faults::web_pages},
    {"program", faults::program},
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        for (const auto& [name, scenario] : kScenarios) std::printf("%s\n", name.data());
        return 0;
    }
    for (const auto& [name, scenario] : kScenarios)
        if (name == argv[1]) return faults::launch(scenario, {argv + 2, argv + argc});
    std::fprintf(stderr, "scenario: there is no %s; without a name it lists them\n", argv[1]);
    return 2;
}
