// Conversation: an Exchange driven by hand, without sockets. Bytes go in whole or in fragments of any size;
//               what comes out is a string.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>

#include "webby/application.h"
#include "webby/exchange.h"

namespace webby_test {

inline constexpr std::size_t kWhole = std::numeric_limits<std::size_t>::max();

//   Conversation talk(application);
//   talk.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
//   CHECK_EQUAL("200", talk.status());
class Conversation final : public webby::Wire {
  public:
    explicit Conversation(const webby::Application& application, const webby::Limits& limits = {})
        : limits_(limits),
          context_{.application = application, .limits = limits_, .timeouts = timeouts_},
          exchange_(limits_) {
        exchange_.begin(context_, *this, memory_);
    }

    // Gives the server `input` in pieces of `fragment` bytes, and takes what it says.
    void say(std::string_view input, std::size_t fragment = kWhole) {
        waiting_ = input;
        fragment_ = fragment;
        run();
    }
    // The client finished sending.
    void finish() {
        exchange_.engine().end_of_input();
        run();
    }
    void time_out() {
        exchange_.engine().time_out();
        run();
    }

    // A new connection, with the same exchange.
    void start_again() {
        exchange_.begin(context_, *this, memory_);
        heard_.clear();
        closed_ = false;
        sends_ = 0;
    }

    // Everything the server has said, without Date fields.
    [[nodiscard]] const std::string& heard() const { return heard_; }
    // The status code of the first response, "" without one.
    [[nodiscard]] std::string status() const { return heard_.size() < 12 ? "" : heard_.substr(9, 3); }
    [[nodiscard]] bool closed() const { return closed_; }
    [[nodiscard]] bool lingers() const { return exchange_.engine().lingers(); }
    [[nodiscard]] bool idle() const { return exchange_.engine().is_idle(); }
    // How many times the server had to send: pipelined responses go together.
    [[nodiscard]] int sends() const { return sends_; }

    [[nodiscard]] webby::ExchangeContext& context() { return context_; }
    [[nodiscard]] webby::Exchange& exchange() { return exchange_; }

    nutils::IoResult refill(cutils::Deadline) override {
        take_output();
        if (give_input()) return {1, {}};
        if (!ended_while_streaming) return {0, nutils::NetError::timed_out};
        exchange_.engine().end_of_input();
        return {0, {}};
    }
    std::error_code flush(cutils::Deadline) override {
        take_output();
        return {};
    }
    nutils::SockAddr peer() const override { return nutils::SockAddr::loopback(4711); }
    cutils::TimePoint now() const override { return cutils::TimePoint(); }

    // What a servlet that reads its body finds when the input runs out: the end, or nothing for ever.
    bool ended_while_streaming = true;

  private:
    void run() {
        while (!closed_) {
            switch (exchange_.advance()) {
                case webby::Exchange::Want::input:
                    take_output();
                    if (!give_input()) return;
                    break;
                case webby::Exchange::Want::send:
                case webby::Exchange::Want::deferred: take_output(); break;
                case webby::Exchange::Want::source:
                    take_output();
                    closed_ = !exchange_.wait_for_source();
                    break;
                case webby::Exchange::Want::close:
                    take_output();
                    closed_ = true;
                    break;
            }
        }
    }
    bool give_input() {
        if (waiting_.empty()) return false;
        const std::span<char> space = exchange_.engine().input_space();
        const std::size_t size = std::min({space.size(), waiting_.size(), fragment_});
        waiting_.copy(space.data(), size);
        waiting_.remove_prefix(size);
        exchange_.engine().received(size);
        return true;
    }
    void take_output() {
        webby::Http1Engine& engine = exchange_.engine();
        if (!engine.has_output()) return;
        ++sends_;
        const webby::Http1Engine::Output output = engine.output();
        std::string text(output.text);
        for (std::size_t at = 0; (at = text.find("\r\nDate: ", at)) != std::string::npos;)
            text.erase(at, text.find("\r\n", at + 2) - at);
        heard_ += text;
        heard_ += output.body;
        if (output.file >= 0) {
            std::string file(static_cast<std::size_t>(output.count), '\0');
            const ssize_t got = ::pread(output.file, file.data(), file.size(), output.offset);
            heard_.append(file, 0, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        }
        engine.sent();
    }

    webby::Limits limits_;
    webby::Timeouts timeouts_{};
    webby::ConnectionMemory memory_;
    webby::ExchangeContext context_;
    webby::Exchange exchange_;
    std::string_view waiting_;
    std::size_t fragment_ = kWhole;
    std::string heard_;
    int sends_ = 0;
    bool closed_ = false;
};

}  // namespace webby_test
