// What tests of select work with, whatever kind of channel the arms stand at.
#pragma once

#include <string>

#include "evcorothread/select.h"
#include "test/evcorothread/loop_fixture.h"

namespace test_support {

// Two channels without a buffer, one that is full, one that has room; and what became of a select.
template <class Ints>
class SelectFixture : public LoopFixture {
  public:
    Ints a{0};
    Ints b{0};
    Ints full{1};
    Ints room{1};
    int got = 0;
    std::string called;
    evcorothread::SelectResult result{98, {}};

    void setup() override { CHECK(!full.try_send(1)); }

    auto note(const char* name) {
        return [this, name] { called += name; };
    }
    auto take() {
        return [this](int value) { got = value; };
    }
};

}  // namespace test_support
