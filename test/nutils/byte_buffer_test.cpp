#include "nutils/byte_buffer.h"

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "test/support/allocation_faults.h"
#include "test/support/death.h"
#include "test/support/net_strings.h"

using namespace nutils;
using namespace test_support;

namespace {
void put(ByteBuffer& buffer, std::string_view data) { CHECK(!buffer.append(data)); }
}  // namespace

TEST_GROUP_BASE(ByteBuffer, Fixture) { ByteBuffer buffer; };

TEST(ByteBuffer, IsEmptyAndHasNoMemoryAtFirst) {
    CHECK(buffer.empty());
    LONGS_EQUAL(0, buffer.size());
    LONGS_EQUAL(0, buffer.capacity());
    CHECK_EQUAL("", buffer.readable());
}

TEST(ByteBuffer, WhatIsAppendedIsReadable) {
    put(buffer, "hello ");
    put(buffer, "world");
    CHECK_EQUAL("hello world", buffer.readable());
}

TEST(ByteBuffer, WhatIsWrittenIsReadableOnceCommitted) {
    const std::span<char> room = buffer.writable(5);
    CHECK(room.size() >= 5);
    std::copy_n("hello", 5, room.data());
    CHECK(buffer.empty());
    buffer.commit(3);
    CHECK_EQUAL("hel", buffer.readable());
}

TEST(ByteBuffer, CanCommitInSteps) {
    const std::span<char> room = buffer.writable(4);
    std::copy_n("abcd", 4, room.data());
    buffer.commit(2);
    buffer.commit(2);
    CHECK_EQUAL("abcd", buffer.readable());
}

TEST(ByteBuffer, ConsumedBytesAreGone) {
    put(buffer, "hello");
    buffer.consume(2);
    CHECK_EQUAL("llo", buffer.readable());
    buffer.consume(3);
    CHECK(buffer.empty());
}

TEST(ByteBuffer, AppendingNothingNeedsNoMemory) {
    put(buffer, "");
    LONGS_EQUAL(0, buffer.capacity());
}

TEST(ByteBuffer, ConsumedRoomIsUsedAgainWithoutNewMemory) {
    put(buffer, std::string(200, 'a'));
    const std::size_t capacity = buffer.capacity();
    for (int i = 0; i < 1000; ++i) {
        put(buffer, "0123456789");
        buffer.consume(10);
    }
    LONGS_EQUAL(200, buffer.size());
    CHECK(buffer.capacity() <= capacity * 2);
}

TEST(ByteBuffer, AnEmptiedBufferBeginsAtTheFrontAgain) {
    put(buffer, std::string(256, 'a'));
    const std::size_t capacity = buffer.capacity();
    buffer.consume(256);
    LONGS_EQUAL(capacity, buffer.writable().size());
}

TEST(ByteBuffer, GivesAllTheRoomItHas) {
    (void)buffer.writable(1000);
    put(buffer, "abc");
    LONGS_EQUAL(buffer.capacity() - 3, buffer.writable(1).size());
}

TEST(ByteBuffer, MemoryIsNotMuchMoreThanWhatItHolds) {
    ByteBuffer big;
    std::size_t most = 256;
    for (int i = 0; i < 2000; ++i) {
        put(big, std::string(37, 'x'));
        most = std::max(most, big.size());
        if (i % 3 == 0) big.consume(20);
        CHECK(big.capacity() < most * 4);
    }
}

TEST(ByteBuffer, ReadingAByteAtATimeFromAFullBufferMovesItRarely) {
    // 64 KiB full, one byte out, one byte in: moving it each time would be 4 GiB of copying.
    constexpr std::size_t kSize = 65536;
    ByteBuffer full(kSize);
    put(full, std::string(kSize, 'x'));
    std::size_t moves = 0;
    const char* place = full.readable().data();
    for (std::size_t i = 0; i < kSize; ++i) {
        full.consume(1);
        put(full, "y");
        if (full.readable().data() != place + 1) ++moves;
        place = full.readable().data();
    }
    CHECK(moves <= 4);
    LONGS_EQUAL(kSize, full.size());
    CHECK(full.capacity() <= 2 * kSize);
}

TEST(ByteBuffer, BeyondTheMaximumIsAnErrorAndNothingIsAdded) {
    ByteBuffer small(10);
    put(small, "0123456");
    CHECK_EQUAL(NetError::too_long, small.append("789a"));
    CHECK_EQUAL("0123456", small.readable());
    put(small, "789");
    LONGS_EQUAL(0, small.available());
    CHECK_EQUAL(NetError::too_long, small.append("x"));
}

TEST(ByteBuffer, ConsumingMakesRoomUnderTheMaximum) {
    ByteBuffer small(4);
    put(small, "abcd");
    small.consume(2);
    LONGS_EQUAL(2, small.available());
    put(small, "ef");
    CHECK_EQUAL("cdef", small.readable());
}

TEST(ByteBuffer, WritableNeverPassesTheMaximum) {
    ByteBuffer small(10);
    put(small, "0123");
    LONGS_EQUAL(6, small.writable().size());
    CHECK(small.writable(7).empty());
    LONGS_EQUAL(6, small.writable(6).size());
}

TEST(ByteBuffer, AMaximumOfZeroHoldsNothing) {
    ByteBuffer none(0);
    CHECK(none.writable(1).empty());
    CHECK_EQUAL(NetError::too_long, none.append("x"));
    CHECK(!none.append(""));
}

TEST(ByteBuffer, AnImpossibleAmountIsRefused) {
    CHECK_EQUAL(NetError::too_long, ByteBuffer(1).append("xx"));
    CHECK(buffer.writable(ByteBuffer::kUnlimited + 1).empty());
    LONGS_EQUAL(ByteBuffer::kUnlimited, ByteBuffer(~std::size_t{0}).max_size());
}

TEST(ByteBuffer, CanAppendAPartOfItself) {
    put(buffer, "xabc");
    buffer.consume(1);
    for (int i = 0; i < 10; ++i) CHECK(!buffer.append(buffer.readable()));
    LONGS_EQUAL(3 * 1024, buffer.size());
    std::string wanted;
    for (int i = 0; i < 1024; ++i) wanted += "abc";
    CHECK_EQUAL(wanted, buffer.readable());
}

TEST(ByteBuffer, CanAppendAPartOfItselfWhileItMoves) {
    ByteBuffer small(200);
    put(small, std::string(250, ' ').substr(0, 200));
    small.consume(197);
    for (int i = 0; i < 60; ++i) put(small, "abc"), small.consume(3);
    put(small, "12");
    CHECK(!small.append(small.readable().substr(1, 2)));
    CHECK_EQUAL(small.readable().substr(1, 2), small.readable().substr(5, 2));
}

TEST(ByteBuffer, ClearForgetsTheBytesAndKeepsTheMemory) {
    put(buffer, "hello");
    const std::size_t capacity = buffer.capacity();
    buffer.clear();
    CHECK(buffer.empty());
    LONGS_EQUAL(capacity, buffer.capacity());
}

TEST(ByteBuffer, ShrinkGivesBackWhatIsNotNeeded) {
    put(buffer, std::string(10000, 'x'));
    buffer.consume(9995);
    buffer.shrink();
    LONGS_EQUAL(5, buffer.capacity());
    CHECK_EQUAL("xxxxx", buffer.readable());
    buffer.consume(5);
    buffer.shrink();
    LONGS_EQUAL(0, buffer.capacity());
    put(buffer, "again");
    CHECK_EQUAL("again", buffer.readable());
}

TEST(ByteBuffer, MovingStealsTheBytesAndLeavesAnEmptyUsableBuffer) {
    put(buffer, "hello");
    const char* const place = buffer.readable().data();
    ByteBuffer taken(std::move(buffer));
    POINTERS_EQUAL(place, taken.readable().data());
    CHECK(buffer.empty());  // NOLINT: what a moved-from one is, is the claim
    LONGS_EQUAL(0, buffer.capacity());
    put(buffer, "new");
    CHECK_EQUAL("new", buffer.readable());
    buffer = std::move(taken);
    CHECK_EQUAL("hello", buffer.readable());
}

TEST(ByteBuffer, MovingTakesTheMaximumAlong) {
    ByteBuffer small(3);
    buffer = std::move(small);
    LONGS_EQUAL(3, buffer.max_size());
    LONGS_EQUAL(3, small.max_size());  // NOLINT
}

TEST(ByteBuffer, MovingIntoItselfKeepsTheBytes) {
    put(buffer, "hello");
    ByteBuffer& same = buffer;
    buffer = std::move(same);
    CHECK_EQUAL("hello", buffer.readable());
}

TEST(ByteBuffer, CannotBeCopied) {
    CHECK(!std::is_copy_constructible_v<ByteBuffer>);
    CHECK(!std::is_copy_assignable_v<ByteBuffer>);
}

TEST(ByteBuffer, NoMemoryIsAnErrorAndChangesNothing) {
    put(buffer, "hello");
    const std::string more(1000, 'x');
    AllocationFaults faults;
    faults.fail_all();
    const std::error_code error = buffer.append(more);
    const bool no_room = buffer.writable(1000).empty();
    faults.stop();
    CHECK(error == std::errc::not_enough_memory);
    CHECK(no_room);
    CHECK_EQUAL("hello", buffer.readable());
    LONGS_EQUAL(2, faults.failed());
}

TEST(ByteBuffer, ShrinkingWithoutMemoryKeepsWhatItHas) {
    put(buffer, "hello");
    const std::size_t capacity = buffer.capacity();
    AllocationFaults faults;
    faults.fail_all();
    buffer.shrink();
    faults.stop();
    LONGS_EQUAL(capacity, buffer.capacity());
    CHECK_EQUAL("hello", buffer.readable());
}

TEST(ByteBuffer, CommittingOrConsumingTooMuchAborts) {
    STRCMP_CONTAINS("commit() of more than writable() gave",
                    abort_message([] { ByteBuffer().commit(1); }).c_str());
    STRCMP_CONTAINS("commit() of more than writable() gave", abort_message([] {
                                                                 ByteBuffer small(4);
                                                                 (void)small.writable();
                                                                 small.commit(5);
                                                             }).c_str());
    STRCMP_CONTAINS("consume() of more than there is",
                    abort_message([] { ByteBuffer().consume(1); }).c_str());
}

TEST(ByteBuffer, BehavesLikeAStringWhateverIsDoneToIt) {
    std::minstd_rand random(4711);
    ByteBuffer tested(5000);
    std::string model;
    for (int step = 0; step < 20000; ++step) {
        const std::size_t amount = random() % 400;
        switch (random() % 5) {
            case 0:
            case 1: {
                const std::string data(amount, static_cast<char>('a' + step % 26));
                const bool fits = model.size() + amount <= 5000;
                CHECK(bool(tested.append(data)) != fits || data.empty());
                if (fits) model += data;
                break;
            }
            case 2: {
                const std::span<char> room = tested.writable(std::min(amount, tested.available()));
                const std::size_t used = std::min(amount, room.size());
                std::fill_n(room.data(), used, static_cast<char>('A' + step % 26));
                tested.commit(used);
                model += std::string(used, static_cast<char>('A' + step % 26));
                break;
            }
            case 3: {
                const std::size_t used = std::min(amount, model.size());
                tested.consume(used);
                model.erase(0, used);
                break;
            }
            default:
                if (amount < 20) tested.shrink();
                if (amount == 20) tested.clear(), model.clear();
        }
        CHECK(tested.readable() == model);
        CHECK(tested.capacity() <= 10000);
    }
}
