#include "webby/event_hub.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "cutils/log.h"
#include "webby/response_stream.h"

namespace webby {
namespace {

bool is_one_line(std::string_view text) {
    return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

constexpr std::string_view kBeginning = ":\n\n";  // a comment

}  // namespace

std::string to_wire(const ServerEvent& event) {
    if (!is_one_line(event.name) || !is_one_line(event.id)) return {};
    std::string out;
    const auto field = [&out](std::string_view name, std::string_view value) {
        out.append(name).append(": ").append(value).append("\n");
    };
    if (!event.id.empty()) field("id", event.id);
    if (!event.name.empty()) field("event", event.name);
    if (event.retry.count() > 0) field("retry", std::to_string(event.retry.count()));
    // A line may end with CR, LF or both.
    std::string_view rest = event.data;
    for (;;) {
        const std::size_t end = rest.find_first_of("\r\n");
        field("data", rest.substr(0, end));
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + (rest.substr(end, 2) == "\r\n" ? 2 : 1));
    }
    return out += "\n";
}

struct EventHub::Impl {
    explicit Impl(const EventHubOptions& the_options) : options(the_options) {}

    struct Kept {
        std::string id;
        std::shared_ptr<const std::string> text;
    };
    // False: there is more than may wait for one listener.
    [[nodiscard]] bool replay(std::string_view last_seen, ResponseStream& stream);

    // Not at each newcomer: with thousands of listeners, that would be most of what one costs.
    void forget_who_left() {
        if (listeners.size() < std::min(look_again_at, options.most_listeners)) return;
        std::erase_if(listeners, [](const ResponseStream& one) { return !one.wanted(); });
        look_again_at = std::max<std::size_t>(2 * listeners.size(), 64);
    }

    const EventHubOptions options;
    std::size_t look_again_at = 64;  // listeners
    mutable std::mutex mutex;
    std::vector<ResponseStream> listeners;
    std::deque<Kept> history;
    std::uint64_t published = 0;
    std::uint64_t dropped = 0;
    bool closed = false;
};

EventHub::EventHub(EventHubOptions options) : impl_(std::make_unique<Impl>(options)) {}
EventHub::~EventHub() { close(); }

void EventHub::subscribe(Request& request, Response& response) {
    const std::lock_guard lock(impl_->mutex);
    impl_->forget_who_left();
    if (impl_->closed || impl_->listeners.size() >= impl_->options.most_listeners) {
        response.error(Status::service_unavailable, "No room for another listener.");
        response.add_header("Retry-After", "5");
        return;
    }
    response.set_header("Content-Type", "text/event-stream");
    response.set_header("Cache-Control", "no-cache");
    response.set_header("X-Accel-Buffering", "no");  // nginx in front: as it comes
    ResponseStream stream = response.stream(impl_->options.most_waiting);
    if (request.method() == Method::head) return;
    stream.keep_alive_with(std::string(kBeginning));
    stream.write(kBeginning);  // the head goes out with it: the client knows that it listens
    // Nobody hears what comes with something missing before it: the stream ends with what there is room for,
    // and the client comes back for the rest.
    if (impl_->replay(request.header("Last-Event-ID"), stream)) impl_->listeners.push_back(std::move(stream));
}

// Nothing for a client that names an event we do not know, or none: it begins with what comes.
bool EventHub::Impl::replay(std::string_view last_seen, ResponseStream& stream) {
    if (last_seen.empty()) return true;
    auto at =
        std::find_if(history.begin(), history.end(), [&](const Kept& kept) { return kept.id == last_seen; });
    if (at == history.end()) return true;
    while (++at != history.end())
        if (!stream.write(at->text)) return false;
    return true;
}

std::size_t EventHub::publish(const ServerEvent& event) {
    const auto text = std::make_shared<const std::string>(to_wire(event));
    if (text->empty()) {
        cutils::log(cutils::LogLevel::error,
                    "webby: an event's name or id has a line break or a NUL: it is not published");
        return 0;
    }
    if (text->size() + kBeginning.size() > impl_->options.most_waiting) {
        cutils::log(
            cutils::LogLevel::error,
            "webby: an event of %zu bytes is more than may wait for any listener: it is not published",
            text->size());
        return 0;
    }
    const std::lock_guard lock(impl_->mutex);
    ++impl_->published;
    if (impl_->options.history > 0 && !event.id.empty()) {
        if (impl_->history.size() == impl_->options.history) impl_->history.pop_front();
        impl_->history.push_back({std::string(event.id), text});
    }
    std::erase_if(impl_->listeners, [&](ResponseStream& listener) {
        if (listener.write(text)) return false;
        if (listener.wanted()) {
            ++impl_->dropped;
            listener.cut();
        }
        return true;
    });
    return impl_->listeners.size();
}

void EventHub::close() {
    const std::lock_guard lock(impl_->mutex);
    impl_->closed = true;
    impl_->listeners.clear();  // the last handle of each: its body is complete
}

EventHub::Counts EventHub::counts() const {
    const std::lock_guard lock(impl_->mutex);
    std::size_t listening = 0;
    for (const ResponseStream& one : impl_->listeners) listening += one.wanted() ? 1 : 0;
    return {listening, impl_->published, impl_->dropped};
}

}  // namespace webby
