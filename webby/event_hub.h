// EventHub: Server-Sent Events (WHATWG HTML §9.2) to any number of listeners.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cutils/export.h"
#include "webby/request.h"
#include "webby/response.h"

namespace webby {

// One event. `data` may have several lines; name and id one, without NUL.
struct ServerEvent {
    std::string_view data{};
    std::string_view name{};             // what addEventListener() listens for; empty: "message"
    std::string_view id{};               // what a client that comes back says it has seen
    std::chrono::milliseconds retry{0};  // how long a client waits before it comes back; 0: as before
};

// The event in its wire form. Errors: empty when name or id has a line break or NUL.
[[nodiscard]] EVC_API std::string to_wire(const ServerEvent& event);

struct EventHubOptions {
    // What may wait for one listener; who takes no more is dropped: his browser comes back by itself, and
    // says what it has seen last. A single event has to be smaller. Units: bytes.
    std::size_t most_waiting = 64 * 1024;
    // Events kept for those who come back (Last-Event-ID), of those that had an id.
    std::size_t history = 0;
    std::size_t most_listeners = 10'000;  // more are answered 503
};

//   webby::EventHub news;
//   server.get("/news", [&](webby::Request& q, webby::Response& r) { news.subscribe(q, r); });
//   …
//   news.publish({.data = "{\"price\": 7}", .name = "price"});      // from any thread
//
// In the browser:  new EventSource("/news").addEventListener("price", e => show(e.data));
//
// A listener costs memory alone, as long as nothing is published: no stack, and no thread.
//
// Owner:  the application; it may go before or after the server and its listeners.
// Thread: any. Suspends: never; a slow listener holds up nobody.
// Cost:   an event is put into its wire form once, and shared by all; per listener a lock and a wake-up.
class EVC_API EventHub {
  public:
    explicit EventHub(EventHubOptions options = {});
    EventHub(const EventHub&) = delete;
    EventHub& operator=(const EventHub&) = delete;
    ~EventHub();

    // Answers the request with the events to come, first those of the history that the client has missed. The
    // connection is then the hub's until the client goes. Where more was missed than most_waiting, the answer
    // ends with what there is room for, and the client comes back for the rest.
    void subscribe(Request& request, Response& response);

    // To all listeners; returns how many it reached. Errors: 0 and a line in the log for an event that has no
    // wire form, or is larger than most_waiting.
    std::size_t publish(const ServerEvent& event);

    // Ends all streams.
    void close();

    struct Counts {
        std::size_t listeners = 0;
        std::uint64_t published = 0;
        std::uint64_t dropped = 0;  // listeners that were too slow
    };
    [[nodiscard]] Counts counts() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace webby
