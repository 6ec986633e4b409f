#include "test/faults/scenario.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>

#include "corothread/stack_pool.h"
#include "evcorothread/ev_thread.h"

namespace faults {
namespace {

std::atomic<int> worst{0};

// One line, one write(2), as far as it depends on us: it may be this one that fails.
void say(std::string_view kind, std::string_view what, std::string_view why) {
    std::string line(kind);
    line.append(what).append(why.empty() ? "" : ": ").append(why);
    for (char& c : line)
        if (c == '\n') c = ' ';
    line += '\n';
    for (int tries = 0; tries < 5; ++tries)
        if (::write(STDERR_FILENO, line.data(), line.size()) > 0) return;
}

void at_least(int code) {
    for (int now = worst; now < code && !worst.compare_exchange_weak(now, code);) {
    }
}

}  // namespace

void make_files(const Life& life) {
    std::ofstream(life.folder + "/big.txt") << std::string(kBigFile - 7, 'b') << "the end";
    std::ofstream(life.folder + "/small.txt") << "small\n";
    std::ofstream(life.folder + "/webby.conf")
        << "listen = \"unix:" << life.folder << "/webby.sock\"\nroot = \"" << life.folder << "\"\n"
        << "access-log = \"" << life.folder << "/access.log\"\nhealth = \"/health\"\nstatus = \"/status\"\n"
        << "compress = true\nlisting = true\ndrain-timeout = 1\n";
}

void failed(std::string_view what, std::string_view why) {
    at_least(1);
    say("failed: ", what, why);
}

void wrong(std::string_view what) {
    at_least(2);
    say("WRONG: ", what, {});
}

void failed(std::string_view what, std::error_code why) { failed(what, why, why.message()); }

void failed(std::string_view what, std::error_code code, const std::string& words) {
    if (code == nutils::NetError::timed_out) return wrong(std::string(what) + ": waited in vain: " + words);
    failed(what, std::string_view(words));
}

int verdict() { return worst; }

void forget_all() { worst = 0; }

void in_loop(const std::function<void(EvLoop& loop)>& body) {
    try {
        corothread::StackPool stacks({.count = 20});
        EvLoop loop(stacks);
        loop.spawn("scenario", [&] {
            try {
                body(loop);
            } catch (const std::exception& e) {
                failed("the scenario", e.what());
            }
        });
        loop.run();
        if (loop.thread_count() != 0) wrong("the loop ended before its coroutines");
    } catch (const std::exception& e) {
        failed("the loop", e.what());
    }
}

void echo(nutils::ByteStream& stream) {
    char buffer[4096];
    for (;;) {
        const nutils::IoResult got = stream.recv(buffer, 2 * kPatience);
        if (!got) {
            if (!got.eof()) failed("the server's recv", got.error);
            return;
        }
        if (!good("the server's send", stream.send_all({buffer, got.bytes}, kPatience))) return;
    }
}

void converse(std::string_view what, nutils::ByteStream& stream) {
    std::string text;
    for (int i = 0; text.size() < 20'000; ++i) text += std::to_string(i) + ' ';
    for (std::size_t from = 0; from < text.size(); from += 10'000) {
        const std::string piece = text.substr(from, 10'000);
        if (!good(what, stream.send_all(piece, kPatience))) return;
        std::string back(piece.size(), '\0');
        if (!good(what, stream.recv_exact(back, kPatience))) return;
        if (back != piece) wrong(std::string(what) + ": the echo is something else");
    }
}

void check_end(std::string_view what, evcorothread::process::ChildProcess& child, Expected expected) {
    auto status = child.wait(kPatience);
    if (!status) {
        failed(what, status.error().code(), status.error().message());
        (void)child.kill(SIGKILL);
        return;
    }
    if (status->signal == expected.signal && status->code == 0) return;
    if (!expected.ours) return failed(what, status->to_string());
    switch (status->signal) {
        case SIGABRT:
        case SIGSEGV:
        case SIGBUS:
        case SIGFPE:
        case SIGILL: return wrong(std::string(what) + " was " + status->to_string());
        default: break;
    }
    if (status->code == 2) return wrong(std::string(what) + " found something wrong");
    failed(what, status->to_string());
}

}  // namespace faults
