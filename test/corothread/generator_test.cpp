#include "corothread/generator.h"

#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "test/support/harness.h"

using namespace corothread;
using namespace test_support;

namespace {

struct Tree {
    int value;
    std::unique_ptr<Tree> left, right;
};

std::unique_ptr<Tree> tree(int value, std::unique_ptr<Tree> left = nullptr,
                           std::unique_ptr<Tree> right = nullptr) {
    return std::unique_ptr<Tree>(new Tree{value, std::move(left), std::move(right)});
}

void walk(const Tree* node, Generator<int>::Yield& yield) {
    if (node == nullptr) return;
    walk(node->left.get(), yield);
    yield(node->value);
    walk(node->right.get(), yield);
}

using Iterator = Generator<int>::iterator;
static_assert(std::input_iterator<Iterator>);
static_assert(!std::forward_iterator<Iterator>);
static_assert(std::sentinel_for<std::default_sentinel_t, Iterator>);
static_assert(std::ranges::input_range<Generator<int>>);
static_assert(std::same_as<std::iter_value_t<Iterator>, int>);

}  // namespace

TEST_GROUP_BASE(Generator, Fixture) {
    StackPool pool{{.count = 4}};
    void teardown() override { CHECK_EQUAL(0, pool.in_use()); }

    Generator<int> up_to(int limit) {
        return Generator<int>(pool, [limit](auto& yield) {
            for (int i = 0; i < limit; ++i) yield(i);
        });
    }
};

TEST(Generator, FeedsARangeFor) {
    std::vector<int> seen;
    for (const int n : up_to(4)) seen.push_back(n);
    CHECK(seen == std::vector<int>({0, 1, 2, 3}));
}

TEST(Generator, MayBeEmpty) {
    for ([[maybe_unused]] const int n : up_to(0)) FAIL("there is nothing");
}

TEST(Generator, StartsAtBegin) {
    bool started = false;
    Generator<int> lazy(pool, [&](auto& yield) {
        started = true;
        yield(1);
    });
    CHECK(!started);
    CHECK_EQUAL(1, *lazy.begin());
    CHECK(started);
}

TEST(Generator, MayNeverEndWhenTheLoopDoes) {
    long last = 0;
    Generator<long> squares(pool, [](auto& yield) {
        for (long i = 0;; ++i) yield(i * i);
    });
    for (const long n : squares)
        if ((last = n) > 100) break;
    CHECK_EQUAL(121, last);
}

TEST(Generator, ASecondLoopGoesOnWhereTheFirstStopped) {
    Generator<int> numbers = up_to(5);
    for (const int n : numbers)
        if (n == 1) break;
    std::vector<int> rest;
    for (const int n : numbers) rest.push_back(n);
    CHECK(rest == std::vector<int>({2, 3, 4}));
}

TEST(Generator, BeginAfterTheEndIsTheEnd) {
    Generator<int> numbers = up_to(1);
    for ([[maybe_unused]] const int n : numbers) continue;
    CHECK(numbers.begin() == numbers.end());
    CHECK(!numbers.next().has_value());
}

TEST(Generator, YieldsFromARecursiveWalk) {
    const auto root = tree(4, tree(2, tree(1), tree(3)), tree(6, tree(5), tree(7)));
    Generator<int> in_order(pool, [&](auto& yield) { walk(root.get(), yield); });
    std::vector<int> seen;
    for (const int n : in_order) seen.push_back(n);
    CHECK(seen == std::vector<int>({1, 2, 3, 4, 5, 6, 7}));
}

TEST(Generator, ReadsAnother) {
    Generator<int> doubled(pool, [this](auto& yield) {
        for (const int n : up_to(3)) yield(n * 2);
    });
    std::vector<int> seen;
    for (const int n : doubled) seen.push_back(n);
    CHECK(seen == std::vector<int>({0, 2, 4}));
}

TEST(Generator, GivesOutValuesThatOnlyMove) {
    Generator<std::unique_ptr<int>> owned(pool, [](auto& yield) {
        yield(std::make_unique<int>(1));
        yield(std::make_unique<int>(2));
    });
    int sum = 0;
    for (std::unique_ptr<int>& one : owned) sum += *std::move(one);
    CHECK_EQUAL(3, sum);
}

TEST(Generator, AnExceptionBeforeTheFirstValueComesOutOfBegin) {
    Generator<int> failing(pool, [](auto&) { throw std::runtime_error("first"); });
    CHECK_THROWS(std::runtime_error, (void)failing.begin());
}

TEST(Generator, AnExceptionLaterComesOutOfTheIncrement) {
    Generator<int> failing(pool, [](auto& yield) {
        yield(1);
        throw std::runtime_error("second");
    });
    auto it = failing.begin();
    CHECK_EQUAL(1, *it);
    CHECK_THROWS(std::runtime_error, ++it);
    CHECK(!failing.next().has_value());
}

TEST(Generator, IsUnwoundWhenItDiesInTheMiddle) {
    const auto token = std::make_shared<int>();
    {
        Generator<int> numbers(pool, [token](auto& yield) {
            const auto local = token;
            for (int i = 0;; ++i) yield(i);
        });
        (void)numbers.next();
        CHECK_EQUAL(3, token.use_count());
    }
    CHECK_EQUAL(1, token.use_count());
}

TEST(Generator, Moves) {
    Generator<int> first = up_to(3);
    (void)first.next();
    Generator<int> second = std::move(first);
    CHECK_EQUAL(1, second.next().value());
}
