// StatusPage: the page that shows how the server is, and keeps itself up to date. Internal.
#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "webby/event_hub.h"
#include "webby/request.h"
#include "webby/response.h"
#include "webby/status_page.h"
#include "webby/status_point_internal.h"

namespace webby {

// The parts of the page that never change.
extern const std::string_view kStatusStyle;
extern const std::string_view kStatusBody;
extern const std::string_view kStatusScript;

// Owner: the server. Thread: any.
class StatusPage {
  public:
    explicit StatusPage(StatusOptions options);

    [[nodiscard]] const PageAccess& access() const { return options_.access; }

    // The page, with what is known by now.
    void show(Request& request, Response& response, const ServerMetrics& metrics);
    // The events that keep it up to date: update() has to be called once a second as long as somebody
    // listens.
    void subscribe(Request& request, Response& response, const ServerMetrics& metrics);
    [[nodiscard]] bool has_viewers() const { return hub_.counts().listeners > 0; }
    void update(const ServerMetrics& metrics);
    // The server stops: all pages hear the end.
    void close() { hub_.close(); }

  private:
    [[nodiscard]] std::string history() const;

    const StatusOptions options_;
    EventHub hub_;
    mutable std::mutex mutex_;  // of these
    std::optional<StatusLook> before_;
    std::deque<StatusPoint> points_;
};

}  // namespace webby
