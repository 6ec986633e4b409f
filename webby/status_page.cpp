#include <chrono>
#include <utility>

#include "webby/process_figures_internal.h"
#include "webby/random_hex.h"
#include "webby/status_page_internal.h"

namespace webby {
namespace {

constexpr std::size_t kPoints = 300;  // five minutes

StatusLook look(const ServerMetrics& metrics) {
    using std::chrono::system_clock;
    const ProcessFigures process = ProcessFigures::now();
    return {metrics,
            std::chrono::duration<double>(system_clock::now().time_since_epoch()).count(),
            process.cpu_seconds,
            process.start_time,
            process.resident_bytes,
            process.descriptors.open};
}

// A table of two columns, for those without JavaScript; with it, the same cells live.
class Table {
  public:
    Table& row(std::string_view name, const std::string& value) {
        text_.append("<tr><th scope=row>").append(html_text(name)).append("</th><td>");
        text_.append(html_text(value)).append("</td></tr>\n");
        return *this;
    }
    Table& row(std::string_view name, std::uint64_t value) { return row(name, std::to_string(value)); }
    [[nodiscard]] const std::string& rows() const { return text_; }

  private:
    std::string text_;
};

std::string milliseconds(cutils::Duration time) {
    std::string text = std::to_string(std::chrono::duration<double, std::milli>(time).count());
    return text.substr(0, text.find('.') + 4) + " ms";
}

std::string plain_rows(const StatusLook& now) {
    const ServerMetrics& all = now.metrics;
    Table table;
    table.row("requests", all.request_count());
    for (unsigned i = 2; i <= 5; ++i) table.row(std::to_string(i) + "xx responses", all.responses_of(i));
    table.row("latency, median", milliseconds(all.latency.percentile(0.5)));
    table.row("latency, 99 %", milliseconds(all.latency.percentile(0.99)));
    table.row("connections, idle", all.idle()).row("connections, active", all.active);
    table.row("connections, waiting", all.waiting());
    table.row("bytes received", all.received_bytes).row("bytes sent", all.sent_bytes);
    table.row("exceptions", all.exceptions).row("connections cut", all.cut);
    for (std::size_t i = 0; i < all.loops.size(); ++i) {
        const LoopMetrics& loop = all.loops[i];
        table.row("loop " + std::to_string(i) + ", stacks in use, most so far, limit",
                  std::to_string(loop.stacks_in_use) + ", " + std::to_string(loop.stacks_peak) + ", " +
                      std::to_string(loop.stacks_limit));
        if (loop.stalls_known)
            table.row("loop " + std::to_string(i) + ", longest stall", milliseconds(loop.longest_stall));
    }
    for (const WaitingGroup& group : group_waits(all.loops))
        table.row("coroutines \"" + group.name + "\", " + group.what, std::uint64_t{group.count});
    return table.rows();
}

}  // namespace

StatusPage::StatusPage(StatusOptions options)
    : options_(std::move(options)), hub_({.most_listeners = options_.most_viewers}) {}

void StatusPage::show(Request& request, Response& response, const ServerMetrics& metrics) {
    const StatusLook now = look(metrics);
    const std::string nonce = random_hex(16);
    const std::string title = html_text(options_.title);
    std::string page = "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>\n";
    page.append("<meta name=viewport content=\"width=device-width, initial-scale=1\">\n<title>");
    page.append(title).append(" status</title>\n");
    page.append("<noscript><meta http-equiv=refresh content=5></noscript>\n<style nonce=").append(nonce);
    page.append(">").append(kStatusStyle).append("</style></head>\n<body>\n<header><h1>");
    page.append(title).append("</h1><p class=about>webby " EVC_VERSION " · ");
    page.append(to_string(metrics.paradigm)).append(" paradigm · <span id=uptime></span></p>");
    page.append("<p id=live class=live></p></header>\n");
    page.append(kStatusBody);
    page.append("<noscript><table class=plain>\n<caption>Since the start</caption>\n");
    page.append(plain_rows(now)).append("</table></noscript>\n");
    page.append("<script type=\"application/json\" id=now data-events=\"");
    page.append(html_text(std::string(request.path()) + "/events")).append("\">{\"points\":");
    page.append(history()).append(",\"details\":").append(details_json(now)).append("}</script>\n");
    page.append("<script nonce=").append(nonce).append(">").append(kStatusScript);
    page.append("</script>\n</body></html>\n");
    response.set_header("Content-Security-Policy",
                        "default-src 'none'; connect-src 'self'; style-src 'nonce-" + nonce +
                            "'; script-src 'nonce-" + nonce + "'; base-uri 'none'; frame-ancestors 'none'");
    response.set_header("Cache-Control", "no-store");
    response.set_header("X-Content-Type-Options", "nosniff");
    response.set_header("Referrer-Policy", "no-referrer");
    response.take_body(std::move(page), "text/html; charset=utf-8");
}

std::string StatusPage::history() const {
    const std::lock_guard lock(mutex_);
    std::string text = "[";
    for (const StatusPoint& point : points_) text.append(text.size() > 1 ? "," : "").append(point.to_json());
    return text + "]";
}

void StatusPage::subscribe(Request& request, Response& response, const ServerMetrics& metrics) {
    if (!has_viewers()) {  // what was before nobody has measured
        const std::lock_guard lock(mutex_);
        before_ = look(metrics);
    }
    hub_.subscribe(request, response);
}

void StatusPage::update(const ServerMetrics& metrics) {
    StatusLook now = look(metrics);
    std::string json = "{\"point\":";
    {
        const std::lock_guard lock(mutex_);
        if (!before_) before_ = now;
        const StatusPoint point = between(*before_, now);
        points_.push_back(point);
        if (points_.size() > kPoints) points_.pop_front();
        json.append(point.to_json()).append(",\"details\":").append(details_json(now)).append("}");
        before_ = std::move(now);
    }
    hub_.publish({.data = json});
}

}  // namespace webby
