// The grammar of the configuration file.
#include <system_error>
#include <utility>

#include "webby/ascii.h"
#include "webby/program/config_file.h"

namespace webby::program {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool is_key(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool is_control(char c) { return ascii::is_control(c) && c != '\t' && c != '\r'; }
constexpr char kControl[] = "a control character stands in the value";

class Reader {
  public:
    Reader(std::string_view text, const std::string& name) : text_(text), name_(name) {}

    cutils::Result<std::vector<Setting>> read() {
        std::vector<Setting> settings;
        constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // of some editors
        if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
        for (;;) {
            skip_lines();
            if (at_end()) break;
            Setting setting{line_, take_key(), {}};
            if (setting.key.empty())
                return wrong(peek() == '[' ? "tables ([name]) are not known here" : "not KEY = VALUE");
            skip_blanks();
            if (!take('=')) return wrong("\"=\" is missing behind \"" + setting.key + "\"");
            skip_blanks();
            if (std::string why = read_values(setting.values); !why.empty()) return wrong(why);
            skip_blanks();
            skip_comment();
            if (!at_end() && peek() != '\n')
                return wrong("something follows the value: are there quotes missing?");
            settings.push_back(std::move(setting));
        }
        return settings;
    }

  private:
    [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
    [[nodiscard]] char peek() const { return at_end() ? '\0' : text_[at_]; }
    char next() {
        if (peek() == '\n') ++line_;
        return text_[at_++];
    }
    bool take(char c) {
        if (at_end() || peek() != c) return false;
        next();
        return true;
    }
    void skip_blanks() {
        while (!at_end() && is_blank(peek())) next();
    }
    void skip_comment() {
        if (peek() == '#')
            while (!at_end() && peek() != '\n') next();
    }
    void skip_lines() {
        do {
            skip_blanks();
            skip_comment();
        } while (take('\n'));
    }
    std::string take_key() {
        std::string key;
        while (!at_end() && is_key(peek())) key += next();
        return key;
    }
    cutils::Error wrong(const std::string& why) const {
        return {std::make_error_code(std::errc::invalid_argument),
                name_ + ":" + std::to_string(line_) + ": " + why};
    }

    // Each of these: empty, or what is wrong.
    std::string read_values(std::vector<std::string>& values) {
        if (!take('[')) return read_value(values.emplace_back());
        for (;;) {
            skip_lines();
            if (take(']')) return {};
            if (at_end()) return "\"]\" is missing";
            if (std::string why = read_value(values.emplace_back()); !why.empty()) return why;
            skip_lines();
            if (!take(',') && peek() != ']') return "\",\" or \"]\" is missing";
        }
    }
    std::string read_value(std::string& value) {
        if (take('"')) return read_text(value);
        if (take('\'')) return read_literal(value);
        while (!at_end() && !is_blank(peek()) &&
               std::string_view("\n,[]#\"'=").find(peek()) == std::string_view::npos)
            value += next();
        return value.empty() ? "a value is missing" : "";
    }
    std::string read_literal(std::string& value) {
        while (!at_end() && peek() != '\n') {
            const char c = next();
            if (c == '\'') return {};
            if (is_control(c)) return kControl;
            value += c;
        }
        return "the closing ' is missing";
    }
    static std::string meaningless(char escaped) {
        if (escaped < ' ' || escaped > '~') return "\"\\\" means nothing here";
        return std::string("\"\\") + escaped + "\" means nothing here";
    }
    std::string read_text(std::string& value) {
        while (!at_end() && peek() != '\n') {
            char c = next();
            if (c == '"') return {};
            if (is_control(c)) return kControl;
            if (c == '\\') {
                if (at_end() || peek() == '\n') break;
                const char escaped = next();
                switch (escaped) {
                    case 'n': c = '\n'; break;
                    case 't': c = '\t'; break;
                    case '"':
                    case '\\': c = escaped; break;
                    default: return meaningless(escaped);
                }
            }
            value += c;
        }
        return "the closing \" is missing";
    }

    std::string_view text_;
    const std::string& name_;
    std::size_t at_ = 0;
    int line_ = 1;
};

}  // namespace

std::string quoted_value(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (c == '\n')
            out += "\\n";
        else if (c == '\t')
            out += "\\t";
        else
            out += c;
    }
    return out + '"';
}

cutils::Result<std::vector<Setting>> parse_settings(std::string_view text, const std::string& name) {
    return Reader(text, name).read();
}

}  // namespace webby::program
