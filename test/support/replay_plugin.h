// ReplayPlugin: behind each failure, the line that repeats it, when the environment chose the order in which
// coroutines ran. Installed by main.cpp.
#pragma once

#include <cstdlib>
#include <string>

#include "test/support/harness.h"

#include "CppUTest/TestPlugin.h"
#include "CppUTest/TestResult.h"

namespace test_support {

class ReplayPlugin : public TestPlugin {
  public:
    explicit ReplayPlugin(const char* program) : TestPlugin("ReplayPlugin"), program_(program) {}

    void preTestAction(UtestShell&, TestResult& result) override { before_ = result.getFailureCount(); }

    void postTestAction(UtestShell& test, TestResult& result) override {
        const char* const seed = std::getenv("EVC_SHUFFLE_SEED");
        if (seed == nullptr || result.getFailureCount() == before_) return;
        const std::string line = std::string("\nreplay: EVC_SHUFFLE_SEED=") + seed + " " + program_ +
                                 " -sg " + test.getGroup().asCharString() + " -sn " +
                                 test.getName().asCharString() + "\n";
        result.print(line.c_str());
    }

  private:
    const char* const program_;
    size_t before_ = 0;
};

}  // namespace test_support
