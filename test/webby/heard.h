// Heard: one response, taken apart as a client would.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace webby_test {

class Heard {
  public:
    // All that was said in answer to one request.
    explicit Heard(std::string_view text) {
        const std::size_t end = text.find("\r\n\r\n");
        if (end == std::string_view::npos) {
            head_ = text;
            return;
        }
        head_ = text.substr(0, end + 2);
        body_ = text.substr(end + 4);
        if (field("Transfer-Encoding") == "chunked" && !body_.empty()) unchunk();
    }

    [[nodiscard]] std::string status() const { return head_.size() < 12 ? "" : head_.substr(9, 3); }
    [[nodiscard]] const std::string& head() const { return head_; }
    // Without its chunks; "<malformed>" where they are.
    [[nodiscard]] const std::string& body() const { return body_; }
    // The first of that name, "" without one.
    [[nodiscard]] std::string field(const std::string& name) const {
        const std::size_t at = head_.find("\r\n" + name + ": ");
        if (at == std::string::npos) return {};
        const std::size_t begin = at + name.size() + 4;
        return head_.substr(begin, head_.find("\r\n", begin) - begin);
    }
    [[nodiscard]] bool has(const std::string& name) const {
        return head_.find("\r\n" + name + ": ") != std::string::npos;
    }

  private:
    void unchunk() {
        std::string whole;
        for (std::string_view left = body_;;) {
            char* end = nullptr;
            const std::string line(left.substr(0, left.find("\r\n")));
            const std::size_t size = std::strtoul(line.c_str(), &end, 16);
            if (line.empty() || *end != 0 || left.size() < line.size() + size + 4 ||
                left.substr(line.size() + 2 + size, 2) != "\r\n") {
                whole += "<malformed>";
                break;
            }
            whole.append(left.substr(line.size() + 2, size));
            left.remove_prefix(line.size() + size + 4);
            if (size > 0) continue;
            whole.append(left.empty() ? "" : "<more>");
            break;
        }
        body_ = std::move(whole);
    }

    std::string head_, body_;
};

}  // namespace webby_test
