// What belongs to a coroutine and must be there again when it goes on: exceptions in flight, errno, the
// floating-point environment, an aligned stack.
#include <cerrno>
#include <cfenv>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "corothread/coroutine.h"
#include "test/support/harness.h"

using namespace corothread;
using namespace test_support;

namespace {

struct Numbered {
    int number;
};

struct AtExit {
    std::function<void()> action;
    ~AtExit() { action(); }
};

}  // namespace

TEST_GROUP_BASE(Switch, Fixture) {
    StackPool pool{{.count = 8}};
    void teardown() override { CHECK_EQUAL(0, pool.in_use()); }
};

TEST(Switch, TwoThatSuspendInCatchRethrowTheirOwnExceptions) {
    int rethrown[2] = {};
    std::vector<std::unique_ptr<Coroutine<void>>> both;
    for (int i = 0; i < 2; ++i)
        both.push_back(std::make_unique<Coroutine<void>>(pool, [&rethrown, i](auto& yield) {
            try {
                try {
                    throw Numbered{i + 1};
                } catch (const Numbered&) {
                    yield();
                    throw;
                }
            } catch (const Numbered& mine) {
                rethrown[i] = mine.number;
            }
        }));
    both[0]->resume();
    both[1]->resume();
    both[0]->resume();  // first in, first out: a stack of exceptions would give them the other's
    both[1]->resume();
    CHECK_EQUAL(1, rethrown[0]);
    CHECK_EQUAL(2, rethrown[1]);
}

TEST(Switch, ACatchOfTheResumerKeepsItsException) {
    Coroutine<void> coroutine(pool, [](auto& yield) {
        try {
            throw Numbered{2};
        } catch (const Numbered&) {
            yield();
        }
    });
    int mine = 0;
    try {
        try {
            throw Numbered{1};
        } catch (const Numbered&) {
            coroutine.resume();
            throw;
        }
    } catch (const Numbered& rethrown) {
        mine = rethrown.number;
    }
    CHECK_EQUAL(1, mine);
    coroutine.resume();
}

TEST(Switch, AResumersExceptionIsNotSeenInside) {
    bool seen = true;
    Coroutine<void> coroutine(pool, [&](auto&) { seen = std::current_exception() != nullptr; });
    try {
        throw 1;
    } catch (int) {
        coroutine.resume();
    }
    CHECK(!seen);
}

TEST(Switch, AnExceptionInsideIsNotSeenByTheResumer) {
    Coroutine<void> coroutine(pool, [](auto& yield) {
        try {
            throw 1;
        } catch (int) {
            yield();
        }
    });
    coroutine.resume();
    CHECK(std::current_exception() == nullptr);
    coroutine.resume();
}

TEST(Switch, NestedCatchesKeepTheirOrder) {
    std::vector<int> order;
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        try {
            throw Numbered{1};
        } catch (const Numbered& outer) {
            try {
                throw Numbered{2};
            } catch (const Numbered& inner) {
                yield();
                order.push_back(inner.number);
            }
            yield();
            order.push_back(outer.number);
            try {
                throw;
            } catch (const Numbered& again) {
                order.push_back(again.number);
            }
        }
    });
    while (coroutine.resume()) {
        try {
            throw Numbered{99};
        } catch (const Numbered&) {
        }
    }
    CHECK(order == std::vector<int>({2, 1, 1}));
}

TEST(Switch, SuspendsInADestructorDuringUnwinding) {
    std::string story;
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        try {
            const AtExit clean_up{[&] {
                story += "in ";
                (void)yield.try_yield();
                story += "out ";
            }};
            throw std::runtime_error("boom");
        } catch (const std::runtime_error& error) {
            story += error.what();
        }
    });
    coroutine.resume();
    try {
        throw std::logic_error("elsewhere");
    } catch (const std::logic_error&) {
    }
    coroutine.resume();
    CHECK_EQUAL("in out boom", story);
}

TEST(Switch, UncaughtExceptionsAreCountedPerCoroutine) {
    int inside = -1;
    int again = -1;
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        try {
            const AtExit clean_up{[&] {
                inside = std::uncaught_exceptions();
                (void)yield.try_yield();
                again = std::uncaught_exceptions();
            }};
            throw 1;
        } catch (int) {
        }
    });
    coroutine.resume();
    CHECK_EQUAL(0, std::uncaught_exceptions());
    coroutine.resume();
    CHECK_EQUAL(1, inside);
    CHECK_EQUAL(1, again);
    CHECK_EQUAL(0, std::uncaught_exceptions());
}

TEST(Switch, AResumerThatUnwindsIsNotCountedInside) {
    int inside = -1;
    Coroutine<void> coroutine(pool, [&](auto&) { inside = std::uncaught_exceptions(); });
    try {
        const AtExit resumes{[&] { coroutine.resume(); }};
        throw 1;
    } catch (int) {
    }
    CHECK_EQUAL(0, inside);
}

TEST(Switch, ACoroutineThatEndsInsideACatchOfItsResumerChangesNothing) {
    Coroutine<void> failing(pool, [](auto&) { throw Numbered{2}; });
    int mine = 0;
    try {
        throw Numbered{1};
    } catch (const Numbered& outer) {
        try {
            failing.resume();
        } catch (const Numbered&) {
        }
        mine = outer.number;
        try {
            throw;
        } catch (const Numbered& again) {
            mine += again.number;
        }
    }
    CHECK_EQUAL(2, mine);
    CHECK(std::current_exception() == nullptr);
}

TEST(Switch, ErrnoBelongsToTheCoroutine) {
    int inside = 0;
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        errno = ENOENT;
        yield();
        inside = errno;
    });
    errno = EINTR;
    coroutine.resume();
    const int outside = errno;
    errno = EPIPE;
    coroutine.resume();
    CHECK_EQUAL(EINTR, outside);
    CHECK_EQUAL(ENOENT, inside);
}

TEST(Switch, ErrnoBelongsToTheCoroutineInCatchToo) {
    int inside = 0;
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        try {
            throw 1;
        } catch (int) {
            errno = ENOENT;
            yield();
            inside = errno;
        }
    });
    coroutine.resume();
    errno = EPIPE;
    coroutine.resume();
    CHECK_EQUAL(ENOENT, inside);
}

TEST(Switch, TheRoundingModeBelongsToTheCoroutine) {
    int inside = 0;
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        std::fesetround(FE_UPWARD);
        yield();
        inside = std::fegetround();
    });
    coroutine.resume();
    const int outside = std::fegetround();
    coroutine.resume();
    CHECK_EQUAL(FE_TONEAREST, outside);
    CHECK_EQUAL(FE_UPWARD, inside);
    CHECK_EQUAL(FE_TONEAREST, std::fegetround());
}

#if defined(__x86_64__)
TEST(Switch, TheSseControlWordBelongsToTheCoroutine) {
    const unsigned before = __builtin_ia32_stmxcsr();
    unsigned inside = 0;
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        __builtin_ia32_ldmxcsr(before | 0x6000);  // round towards zero
        yield();
        inside = __builtin_ia32_stmxcsr();
    });
    coroutine.resume();
    const unsigned outside = __builtin_ia32_stmxcsr();
    coroutine.resume();
    CHECK_EQUAL(before & 0xffc0, outside & 0xffc0);
    CHECK_EQUAL((before | 0x6000) & 0xffc0, inside & 0xffc0);
}
#endif

TEST(Switch, ANewCoroutineStartsWithItsCreatorsRoundingMode) {
    int inside = 0;
    std::fesetround(FE_DOWNWARD);
    Coroutine<void> coroutine(pool, [&](auto&) { inside = std::fegetround(); });
    std::fesetround(FE_TONEAREST);
    coroutine.resume();
    CHECK_EQUAL(FE_DOWNWARD, inside);
}

TEST(Switch, StacksAreAlignedAsTheAbiWants) {
    std::uintptr_t frame = 1;
    std::uintptr_t local = 1;
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        alignas(16) volatile char aligned[16] = {};
        local = reinterpret_cast<std::uintptr_t>(&aligned[0]);
        frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        yield();
    });
    coroutine.resume();
    CHECK_EQUAL(0, local % 16);
    CHECK_EQUAL(0, frame % 16);
}

TEST(Switch, FloatingPointValuesSurvive) {
    Coroutine<double, double> sums(pool, [](auto& yield, double next) {
        double sum = 0;
        long double wide = 0;
        while (true) {
            sum += next;
            wide += static_cast<long double>(next);
            next = yield(sum - static_cast<double>(wide) + sum);
        }
    });
    DOUBLES_EQUAL(0.5, sums.resume(0.5).value(), 0);
    DOUBLES_EQUAL(0.75, sums.resume(0.25).value(), 0);
}

TEST(Switch, AHundredThousandExceptionsLeaveNothing) {
    const int many = kTsan || under_valgrind() ? 1'000 : 100'000;
    int caught = 0;
    for (int i = 0; i < many; ++i) {
        try {
            Coroutine<void> failing(pool, [](auto&) { throw 1; });
            failing.resume();
        } catch (int) {
            ++caught;
        }
    }
    CHECK_EQUAL(many, caught);
}
