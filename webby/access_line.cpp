#include "webby/access_line.h"

#include <array>
#include <cstdio>

#include "webby/ascii.h"
#include "webby/http_date.h"
#include "webby/utf8_text.h"

namespace webby {
namespace {

constexpr char kHex[] = "0123456789abcdef";

enum class Quotes { ours, none };

void append_escaped(std::string& out, std::string_view text, Quotes quotes = Quotes::ours) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = !ascii::is_control(c) && byte < 0x80 && c != '"' && c != '\\';
        if (plain && (c != ' ' || quotes == Quotes::ours)) {
            out += c;
        } else {
            out += "\\x";
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        }
    }
}

// A field between quotes; "-" when there is nothing.
void append_quoted(std::string& out, std::string_view text) {
    out += " \"";
    if (text.empty())
        out += '-';
    else
        append_escaped(out, text);
    out += '"';
}

// "[06/Nov/1994:08:49:37 +0000]", made of "Sun, 06 Nov 1994 08:49:37 GMT".
void append_time(std::string& out, std::time_t when) {
    std::array<char, kHttpDateSize> date;
    write_http_date(when, date.data());
    const std::string_view text(date.data(), date.size());
    out.append("[").append(text.substr(5, 2)).append("/").append(text.substr(8, 3)).append("/");
    out.append(text.substr(12, 4)).append(":").append(text.substr(17, 8)).append(" +0000]");
}

void append_common(std::string& out, const AccessLine& line) {
    out.append(line.peer).append(" - ");
    if (line.user.empty())
        out += '-';
    else
        append_escaped(out, line.user, Quotes::none);
    out += ' ';
    append_time(out, line.when);
    out += " \"";
    if (line.method.empty()) {
        out += '-';
    } else {
        append_escaped(out, line.method);
        out += ' ';
        append_escaped(out, line.target);
        out.append(" ").append(to_string(line.version));
    }
    out.append("\" ").append(std::to_string(to_number(line.status))).append(" ");
    out.append(std::to_string(line.bytes));
}

// --- JSON ---

void append_json_control(std::string& out, unsigned char byte) {
    out += "\\u00";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const Utf8Step step = utf8_step(text);
        const char c = text.front();
        if (step.character == kUtf8Broken) {
            out += "\xef\xbf\xbd";
        } else if (c == '"' || c == '\\') {
            (out += '\\') += c;
        } else if (step.size == 1 && ascii::is_control(c)) {
            append_json_control(out, static_cast<unsigned char>(c));
        } else {
            out.append(text.substr(0, step.size));
        }
        text.remove_prefix(step.size);
    }
    out += '"';
}

void append_json_field(std::string& out, std::string_view name, std::string_view value, bool is_there) {
    out.append(",\"").append(name).append("\":");
    if (is_there)
        append_json_string(out, value);
    else
        out += "null";
}
void append_json_field(std::string& out, std::string_view name, std::string_view value) {
    append_json_field(out, name, value, !value.empty());
}

// "1994-11-06T08:49:37Z"
void append_json_time(std::string& out, std::time_t when) {
    std::tm parts{};
    ::gmtime_r(&when, &parts);
    std::array<char, 64> text;
    const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    out.append(text.data(), size);
}

void append_json_seconds(std::string& out, const std::optional<std::chrono::nanoseconds>& took) {
    out += ",\"seconds\":";
    if (!took) {
        out += "null";
        return;
    }
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(*took).count();
    std::array<char, 48> text;  // not "%f": its point is the locale's
    const int size =
        std::snprintf(text.data(), text.size(), "%lld.%06lld", static_cast<long long>(micros / 1000000),
                      static_cast<long long>(micros % 1000000));
    out.append(text.data(), static_cast<std::size_t>(size));
}

void append_json(std::string& out, const AccessLine& line) {
    const bool read = !line.method.empty();
    out += "{\"time\":\"";
    append_json_time(out, line.when);
    out += '"';
    append_json_field(out, "peer", line.peer);
    append_json_field(out, "user", line.user);
    append_json_field(out, "host", line.host);
    append_json_field(out, "method", line.method);
    append_json_field(out, "target", line.target);
    append_json_field(out, "version", to_string(line.version), read);
    out.append(",\"status\":").append(std::to_string(to_number(line.status)));
    out.append(",\"bytes\":").append(std::to_string(line.bytes));
    append_json_seconds(out, line.took);
    append_json_field(out, "id", line.id);
    append_json_field(out, "referer", line.referer);
    append_json_field(out, "user_agent", line.user_agent);
    out += '}';
}

}  // namespace

std::string_view to_string(AccessLogFormat format) {
    switch (format) {
        case AccessLogFormat::combined: return "combined";
        case AccessLogFormat::json: return "json";
        case AccessLogFormat::common: break;
    }
    return "common";
}

std::optional<AccessLogFormat> parse_access_log_format(std::string_view name) {
    for (const AccessLogFormat one :
         {AccessLogFormat::common, AccessLogFormat::combined, AccessLogFormat::json})
        if (name == to_string(one)) return one;
    return {};
}

void append_access_line(std::string& out, AccessLogFormat format, const AccessLine& line) {
    if (format == AccessLogFormat::json) return append_json(out, line);
    append_common(out, line);
    if (format == AccessLogFormat::common) return;
    append_quoted(out, line.referer);
    append_quoted(out, line.user_agent);
}

}  // namespace webby
