// FdLeakPlugin: fails every test that leaves a descriptor open. Installed by main.cpp.
#pragma once

#include "test/support/fd_leak_check.h"
#include "test/support/harness.h"

#include "CppUTest/TestFailure.h"
#include "CppUTest/TestPlugin.h"
#include "CppUTest/TestResult.h"

namespace test_support {

class FdLeakPlugin : public TestPlugin {
  public:
    FdLeakPlugin() : TestPlugin("FdLeakPlugin") {}

    void preTestAction(UtestShell&, TestResult&) override { check_.reset(); }

    void postTestAction(UtestShell& test, TestResult& result) override {
        const std::string leaked = check_.leaked();
        if (leaked.empty()) return;
        result.addFailure(FailFailure(&test, test.getFile().asCharString(), test.getLineNumber(),
                                      SimpleString(("descriptors left open: " + leaked).c_str())));
    }

  private:
    FdLeakCheck check_;
};

}  // namespace test_support
