// How a coroutine ends that did not get to its end.
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "corothread/coroutine.h"
#include "test/support/death.h"
#include "test/support/harness.h"
#include "test/support/log_capture.h"

using namespace corothread;
using namespace test_support;

namespace {

// Says when it goes.
struct Trace {
    Trace(std::vector<std::string>& l, std::string n) : log(l), name(std::move(n)) {}
    ~Trace() { log.push_back(name); }
    Trace(const Trace&) = delete;
    Trace& operator=(const Trace&) = delete;
    std::vector<std::string>& log;
    std::string name;
};

}  // namespace

TEST_GROUP_BASE(CoroutineKill, Fixture) {
    StackPool pool{{.count = 4}};
    std::vector<std::string> gone;
    void teardown() override { CHECK_EQUAL(0, pool.in_use()); }
};

TEST(CoroutineKill, UnwindsTheBodyInTheUsualOrder) {
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        const Trace first(gone, "first");
        const Trace second(gone, "second");
        yield();
    });
    coroutine.resume();
    coroutine.kill();
    CHECK(gone == std::vector<std::string>({"second", "first"}));
    CHECK(coroutine.finished());
}

TEST(CoroutineKill, DestructionDoesTheSame) {
    {
        Coroutine<void> coroutine(pool, [&](auto& yield) {
            const Trace local(gone, "local");
            yield();
        });
        coroutine.resume();
    }
    CHECK(gone == std::vector<std::string>({"local"}));
}

TEST(CoroutineKill, DestructionWhileUnwindingDoesTheSame) {
    try {
        Coroutine<void> coroutine(pool, [&](auto& yield) {
            const Trace local(gone, "local");
            yield();
        });
        coroutine.resume();
        throw 1;
    } catch (int) {
    }
    CHECK(gone == std::vector<std::string>({"local"}));
}

TEST(CoroutineKill, WhatHasNotBegunNeverRuns) {
    bool ran = false;
    const auto token = std::make_shared<int>();
    {
        Coroutine<void> coroutine(pool, [&ran, token](auto&) { ran = true; });
        coroutine.kill();
        CHECK_EQUAL(1, token.use_count());
        CHECK(coroutine.finished());
    }
    CHECK(!ran);
}

TEST(CoroutineKill, AFinishedOneIsLeftAlone) {
    Coroutine<void> coroutine(pool, [](auto&) {});
    coroutine.resume();
    coroutine.kill();
    coroutine.kill();
    CHECK(coroutine.finished());
}

TEST(CoroutineKill, PassesThroughHandlersOfStdException) {
    bool handled = false;
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        try {
            yield();
        } catch (const std::exception&) {
            handled = true;
        }
    });
    coroutine.resume();
    coroutine.kill();
    CHECK(!handled);
}

TEST(CoroutineKill, MayBeCaughtAndRethrown) {
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        try {
            yield();
        } catch (...) {
            gone.emplace_back("caught");
            throw;
        }
    });
    coroutine.resume();
    coroutine.kill();
    CHECK(gone == std::vector<std::string>({"caught"}));
}

TEST(CoroutineKill, MayBeSwallowedByABodyThatReturns) {
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        try {
            yield();
        } catch (const CoroutineKilled&) {
        }
    });
    coroutine.resume();
    coroutine.kill();
    CHECK(coroutine.finished());
}

TEST(CoroutineKill, EveryLaterYieldIsKilledToo) {
    int kills = 0;
    Coroutine<void> stubborn(pool, [&](auto& yield) {
        for (int i = 0; i < 10; ++i) {
            try {
                yield();
            } catch (const CoroutineKilled&) {
                ++kills;
            }
        }
    });
    stubborn.resume();
    stubborn.kill();
    CHECK_EQUAL(10, kills);
    CHECK(stubborn.finished());
}

TEST(CoroutineKill, ABodyThatGoesOnForEverAborts) {
    STRCMP_CONTAINS("goes on yielding", abort_message([this] {
                                            Coroutine<void> immortal(pool, [](auto& yield) {
                                                while (true) {
                                                    try {
                                                        yield();
                                                    } catch (const CoroutineKilled&) {
                                                    }
                                                }
                                            });
                                            immortal.resume();
                                            immortal.kill();
                                        }).c_str());
}

TEST(CoroutineKill, KillingItselfAborts) {
    STRCMP_CONTAINS("resumed while it runs", abort_message([this] {
                                                 Coroutine<void>* self = nullptr;
                                                 Coroutine<void> coroutine(pool,
                                                                           [&](auto&) { self->kill(); });
                                                 self = &coroutine;
                                                 coroutine.resume();
                                             }).c_str());
}

TEST(CoroutineKill, TryYieldReturnsNothingInstead) {
    bool told = false;
    Coroutine<int, int> coroutine(pool, [&](auto& yield, int) { told = !yield.try_yield(1).has_value(); });
    CHECK_EQUAL(1, coroutine.resume(0).value());
    coroutine.kill();
    CHECK(told);
}

TEST(CoroutineKill, TryYieldReturnsTheValueOtherwise) {
    Coroutine<int, int> coroutine(pool, [](auto& yield, int first) {
        std::optional<int> next = first;
        while (next) next = yield.try_yield(*next + 1);
    });
    CHECK_EQUAL(1, coroutine.resume(0).value());
    CHECK_EQUAL(6, coroutine.resume(5).value());
}

TEST(CoroutineKill, TryYieldWithoutValuesIsTrue) {
    Coroutine<void> coroutine(pool, [](auto& yield) {
        if (*yield.try_yield()) yield();
    });
    CHECK(coroutine.resume().has_value());
    CHECK(coroutine.resume().has_value());
}

TEST(CoroutineKill, AnotherExceptionComesOutOfKill) {
    Coroutine<void> coroutine(pool, [](auto& yield) {
        try {
            yield();
        } catch (const CoroutineKilled&) {
            throw std::runtime_error("while dying");
        }
    });
    coroutine.resume();
    CHECK_THROWS(std::runtime_error, coroutine.kill());
    CHECK(coroutine.finished());
}

TEST(CoroutineKill, TheDestructorLogsAnotherException) {
    LogCapture log;
    {
        Coroutine<void> coroutine(pool, [](auto& yield) {
            try {
                yield();
            } catch (const CoroutineKilled&) {
                throw std::runtime_error("while dying");
            }
        });
        coroutine.resume();
    }
    STRCMP_CONTAINS("while dying", log.text().c_str());
}

TEST(CoroutineKill, TheDestructorLogsWhatIsNoStdException) {
    LogCapture log;
    {
        Coroutine<void> coroutine(pool, [](auto& yield) {
            try {
                yield();
            } catch (const CoroutineKilled&) {
                throw 1;
            }
        });
        coroutine.resume();
    }
    STRCMP_CONTAINS("an exception left a coroutine", log.text().c_str());
}

TEST(CoroutineKill, ItsOwnSignalThrownByTheBodyIsAnException) {
    Coroutine<void> coroutine(pool, [](auto&) { throw CoroutineKilled(); });
    CHECK_THROWS(CoroutineKilled, coroutine.resume());
}

TEST(CoroutineKill, ReachesInnerCoroutines) {
    Coroutine<void> outer(pool, [this](auto& yield) {
        Coroutine<void> inner(pool, [this](auto& yield_inner) {
            const Trace local(gone, "inner");
            yield_inner();
        });
        inner.resume();
        const Trace local(gone, "outer");
        yield();
    });
    outer.resume();
    outer.kill();
    CHECK(gone == std::vector<std::string>({"outer", "inner"}));
}
