// The main() of every test program: CppUTest's command line, with what every test must leave behind checked
// around it.
#include "test/support/harness.h"

#include "CppUTest/CommandLineTestRunner.h"
#include "CppUTest/MemoryLeakWarningPlugin.h"
#include "CppUTest/TestRegistry.h"
#include "test/support/fd_leak_plugin.h"
#include "test/support/replay_plugin.h"
#include "test/support/sanitizers.h"

namespace {

// CppUTest's bookkeeping at the end of each block hides overruns from ASan, and its lock around every
// allocation hides races from TSan. Both have leak detection or need none, so under them memory comes
// straight from malloc. Before all other constructors: a block must be freed the way it was allocated.
[[gnu::constructor(101)]] void choose_memory_checks() {
    if (test_support::is_watched())
        MemoryLeakWarningPlugin::turnOffNewDeleteOverloads();
    else
        MemoryLeakWarningPlugin::turnOnThreadSafeNewDeleteOverloads();
}

}  // namespace

int main(int argc, char** argv) {
    test_support::ReplayPlugin replay(argv[0]);
    TestRegistry::getCurrentRegistry()->installPlugin(&replay);
    test_support::FdLeakPlugin descriptors;
    TestRegistry::getCurrentRegistry()->installPlugin(&descriptors);
    // Not RunAllTests() under a sanitizer: that installs the memory plugin, which would have nothing to look
    // at.
    if (test_support::is_watched())
        return CommandLineTestRunner(argc, argv, TestRegistry::getCurrentRegistry()).runAllTestsMain();
    return CommandLineTestRunner::RunAllTests(argc, argv);
}
