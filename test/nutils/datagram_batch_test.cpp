#include "nutils/datagram_batch.h"

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include "nutils/datagram_ops.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/net_strings.h"
#include "test/support/socket_pairs.h"
#include "test/support/temp_dir.h"

using namespace nutils;
using namespace test_support;

TEST_GROUP_BASE(DatagramBatch, Fixture) {
    FaultInjection faults;
    UniqueFd one = bind_datagram(SockAddr::loopback(0)).value();
    UniqueFd two = bind_datagram(SockAddr::loopback(0)).value();
    SockAddr one_address = SockAddr::local_of(one.get()).value();
    SockAddr two_address = SockAddr::local_of(two.get()).value();
    DatagramBatch batch{8, 256};
    bool coalesce = true;

    static std::vector<std::string> texts(const DatagramBatch& of) {
        std::vector<std::string> all;
        for (const DatagramBatch::Datagram& each : of) all.emplace_back(each.data());
        return all;
    }
    static std::string joined(const DatagramBatch& of) {
        std::string all;
        for (const std::string& text : texts(of)) all += text + ",";
        return all;
    }
    std::string received(int fd) {
        std::string all;
        char buffer[512];
        for (;;) {
            const IoResult got = recv_from(fd, buffer);
            if (got.error) return all;
            all += std::string(buffer, got.bytes) + ",";
        }
    }
    void send_whole(DatagramBatch & what) {
        std::size_t sent = 0;
        while (sent < what.size()) {
            const BatchResult some = send_batch(one.get(), what, sent, coalesce);
            CHECK(some);
            sent += some.count;
        }
    }
};

TEST(DatagramBatch, TakesAllThatAreThereAndSaysWhoSentThem) {
    for (const char* text : {"first", "", "third"}) CHECK(send_to(one.get(), text, &two_address));
    const BatchResult got = recv_batch(two.get(), batch);
    LONGS_EQUAL(3, got.count);
    LONGS_EQUAL(3, batch.size());
    CHECK_EQUAL("first,,third,", joined(batch));
    for (const DatagramBatch::Datagram& each : batch) CHECK_EQUAL(one_address, each.peer());
    LONGS_EQUAL(1, faults.calls("recvmmsg"));
}

TEST(DatagramBatch, TakesNoMoreThanItHasRoomsFor) {
    for (int i = 0; i < 10; ++i) CHECK(send_to(one.get(), "x", &two_address));
    LONGS_EQUAL(8, recv_batch(two.get(), batch).count);
    LONGS_EQUAL(2, recv_batch(two.get(), batch).count);
    CHECK(recv_batch(two.get(), batch).would_block());
    CHECK(batch.empty());
}

TEST(DatagramBatch, TellsTheTrueSizeOfWhatDoesNotFit) {
    CHECK(send_to(one.get(), std::string(300, 'x'), &two_address));
    CHECK(send_to(one.get(), "fits", &two_address));
    LONGS_EQUAL(2, recv_batch(two.get(), batch).count);
    auto it = batch.begin();
    CHECK(it->truncated());
    LONGS_EQUAL(256, it->data().size());
    LONGS_EQUAL(300, it->full_size());
    ++it;
    CHECK(!it->truncated());
    LONGS_EQUAL(4, it->full_size());
}

TEST(DatagramBatch, CanBeReceivedIntoAgainAndAgain) {
    for (int round = 0; round < 3; ++round) {
        CHECK(send_to(one.get(), std::to_string(round), &two_address));
        LONGS_EQUAL(1, recv_batch(two.get(), batch).count);
        CHECK_EQUAL(std::to_string(round) + ",", joined(batch));
        CHECK_EQUAL(one_address, batch.begin()->peer());
    }
}

TEST(DatagramBatch, GoesBackToWhomItCameFrom) {
    for (const char* text : {"ping", "pong", "pan"}) CHECK(send_to(one.get(), text, &two_address));
    CHECK(recv_batch(two.get(), batch));
    LONGS_EQUAL(3, send_batch(two.get(), batch, 0, coalesce).count);
    CHECK_EQUAL("ping,pong,pan,", received(one.get()));
    CHECK(coalesce);
}

TEST(DatagramBatch, WhatIsAddedArrivesAsItWas) {
    const std::vector<std::string> all = {"aa", "bb", "c", "dd", "", "eee", "ff", "gg", "hhhh"};
    std::string expected;
    for (const std::string& text : all) {
        CHECK(batch.add(text, two_address));
        expected += text + ",";
    }
    LONGS_EQUAL(all.size(), batch.size());
    CHECK_EQUAL(expected, joined(batch));
    send_whole(batch);
    CHECK_EQUAL(expected, received(two.get()));
}

TEST(DatagramBatch, RunsOfOneSizeCostOneMessage) {
    for (int i = 0; i < 20; ++i) CHECK(batch.add("0123456789", two_address));
    LONGS_EQUAL(1, batch.rooms_used());
    LONGS_EQUAL(20, send_batch(one.get(), batch, 0, coalesce).count);
    std::string all;
    for (int i = 0; i < 20; ++i) all += "0123456789,";
    CHECK_EQUAL(all, received(two.get()));
}

TEST(DatagramBatch, GoesOnFromTheMiddle) {
    for (char c = 'a'; c < 'f'; ++c) CHECK(batch.add(std::string(2, c), two_address));
    LONGS_EQUAL(3, send_batch(one.get(), batch, 2, coalesce).count);
    CHECK_EQUAL("cc,dd,ee,", received(two.get()));
    LONGS_EQUAL(0, send_batch(one.get(), batch, 5, coalesce).count);
}

TEST(DatagramBatch, EachGoesToItsOwnPeer) {
    CHECK(batch.add("for one", one_address));
    CHECK(batch.add("for two", two_address));
    CHECK(batch.add("for one", one_address));
    send_whole(batch);
    CHECK_EQUAL("for one,for one,", received(one.get()));
    CHECK_EQUAL("for two,", received(two.get()));
}

TEST(DatagramBatch, WithoutATargetGoesToThePeer) {
    CHECK(!connect_datagram(one.get(), two_address));
    CHECK(batch.add("hello"));
    CHECK(batch.begin()->peer().is_none());
    send_whole(batch);
    CHECK_EQUAL("hello,", received(two.get()));
}

TEST(DatagramBatch, RefusesWhatDoesNotFit) {
    CHECK(!batch.add(std::string(257, 'x'), two_address));
    for (int i = 0; i < 8; ++i) CHECK(batch.add(std::string(200, 'x'), two_address));
    CHECK(!batch.add(std::string(200, 'x'), two_address));
    LONGS_EQUAL(8, batch.size());
    batch.clear();
    CHECK(batch.empty());
    CHECK(batch.add("again", two_address));
}

TEST(DatagramBatch, AKernelThatTakesNoRunsGetsThemOneByOne) {
    for (const int error : {EINVAL, EIO, EOPNOTSUPP, EMSGSIZE}) {
        coalesce = true;
        batch.clear();
        for (int i = 0; i < 5; ++i) CHECK(batch.add("same", two_address));
        faults.fail("sendmmsg", error);
        send_whole(batch);
        CHECK(!coalesce);
        CHECK_EQUAL("same,same,same,same,same,", received(two.get()));
    }
}

TEST(DatagramBatch, PiecesTooLargeForTheNetworkGoOneByOne) {
    DatagramBatch large(4, DatagramBatch::kCoalesced);
    // More than the loopback's MTU of 65,536 takes with headers is no run; this is one, and too long for it.
    for (int i = 0; i < 2; ++i) CHECK(large.add(std::string(30000, 'x'), two_address));
    send_whole(large);
    DatagramBatch got(4, DatagramBatch::kCoalesced);
    LONGS_EQUAL(2, recv_batch(two.get(), got).count);
    LONGS_EQUAL(30000, got.begin()->data().size());
}

TEST(DatagramBatch, RunsAreOfSixtyFourAtMost) {
    DatagramBatch large(4, DatagramBatch::kCoalesced);
    for (int i = 0; i < 200; ++i) CHECK(large.add("x", two_address));
    send_whole(large);
    std::string expected;
    for (int i = 0; i < 200; ++i) expected += "x,";
    CHECK_EQUAL(expected, received(two.get()));
    CHECK(coalesce);
}

TEST(DatagramBatch, WhatCameTogetherIsTakenApart) {
    CHECK(!set_coalescing(two.get(), true));
    DatagramBatch large(4, DatagramBatch::kCoalesced);
    for (int i = 0; i < 50; ++i) CHECK(large.add("0123456789", two_address));
    CHECK(large.add("012", two_address));
    send_whole(large);
    DatagramBatch got(4, DatagramBatch::kCoalesced);
    LONGS_EQUAL(51, recv_batch(two.get(), got).count);
    LONGS_EQUAL(1, got.rooms_used());
    CHECK_EQUAL(joined(large), joined(got));
    // And it goes back as it came.
    LONGS_EQUAL(51, send_batch(two.get(), got, 0, coalesce).count);
    std::string expected;
    for (int i = 0; i < 50; ++i) expected += "0123456789,";
    CHECK_EQUAL(expected + "012,", received(one.get()));
}

TEST(DatagramBatch, WorksOverUnixSockets) {
    const TempDir folder;
    const SockAddr there = SockAddr::unix_path(folder.file("there")).value();
    one = socket_datagram(AF_UNIX).value();
    two = bind_datagram(there).value();
    CHECK(can_coalesce(bind_datagram(SockAddr::loopback(0))->get()));
    coalesce = can_coalesce(one.get());
    CHECK(!coalesce);
    for (int i = 0; i < 4; ++i) CHECK(batch.add("same", there));
    send_whole(batch);
    DatagramBatch got(8, 16);
    LONGS_EQUAL(4, recv_batch(two.get(), got).count);
    CHECK_EQUAL("same,same,same,same,", joined(got));
    CHECK(got.begin()->peer().is_none());
}

TEST(DatagramBatch, NeverLetsEintrOut) {
    CHECK(batch.add("x", two_address));
    faults.fail("sendmmsg", EINTR, 2);
    LONGS_EQUAL(1, send_batch(one.get(), batch, 0, coalesce).count);
    faults.fail("recvmmsg", EINTR, 2);
    LONGS_EQUAL(1, recv_batch(two.get(), batch).count);
}

TEST(DatagramBatch, HandsOutTheErrno) {
    CHECK(batch.add("x", two_address));
    CHECK_EQUAL(errno_code(EBADF), send_batch(-1, batch, 0, coalesce).error);
    CHECK_EQUAL(errno_code(EBADF), recv_batch(-1, batch).error);
    CHECK_EQUAL(errno_code(EBADF), set_coalescing(-1, true));
}

TEST(DatagramBatch, AMovedOneLeavesNothingBehind) {
    CHECK(batch.add("a", two_address));
    DatagramBatch moved = std::move(batch);
    CHECK_EQUAL(1, moved.size());
    CHECK(batch.empty());
    CHECK(batch.begin() == batch.end());
    STRCMP_CONTAINS("not there", abort_message([this] { (void)batch.peer_of_datagram(0); }).c_str());
    CHECK_EQUAL(0, batch.rooms());
    CHECK(!batch.add("b", two_address));
    STRCMP_CONTAINS("moved away", abort_message([this] { (void)recv_batch(one.get(), batch); }).c_str());
    batch = std::move(moved);
    CHECK_EQUAL("a,", joined(batch));
}

TEST(DatagramBatch, MovesWithWhatItHolds) {
    CHECK(batch.add("kept", two_address));
    DatagramBatch moved = std::move(batch);
    send_whole(moved);
    CHECK_EQUAL("kept,", received(two.get()));
}

TEST(DatagramBatch, WithoutRoomAborts) {
    STRCMP_CONTAINS("without room", abort_message([] { const DatagramBatch none(0, 10); }).c_str());
}

TEST(DatagramBatch, NoMemoryIsBadAlloc) {
    CHECK(for_each_failing_allocation([] { const DatagramBatch made(4, 64); }) > 3);
}
