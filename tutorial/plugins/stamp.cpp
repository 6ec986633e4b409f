// A plugin with a filter: stamps every response, and keeps out whoever does not know the word.
//
//   webby --filter ./stamp.so,text=served-by-me
//   webby --filter ./stamp.so,doorkeeper,word=sesame --vhost 'docs.example.org,./docs'
//
// It has two factories: the command line chooses one, or takes webby_plugin.
#include <memory>
#include <stdexcept>
#include <string>

#include "webby/plugin.h"

namespace {

class Stamp final : public webby::Filter {
  public:
    explicit Stamp(std::string text) : text_(std::move(text)) {}
    void on_response(const webby::Request&, webby::Response& response) override {
        response.add_header("X-Stamp", text_);
    }

  private:
    const std::string text_;
};

class Doorkeeper final : public webby::Filter {
  public:
    explicit Doorkeeper(std::string word) : word_(std::move(word)) {}
    bool on_request(webby::Request& request, webby::Response& response) override {
        if (request.header("X-Word") == word_) return true;
        response.error(webby::Status::forbidden, "What is the word?");
        return false;
    }

  private:
    const std::string word_;
};

}  // namespace

WEBBY_PLUGIN(webby_plugin)(webby::PluginHost& host) {
    host.add_filter(std::make_unique<Stamp>(host.argument("text", "webby")));
}

// What a factory throws ends the program before it listens: one line, exit code 2.
WEBBY_PLUGIN(doorkeeper)(webby::PluginHost& host) {
    const std::string word = host.argument("word");
    if (word.empty()) throw std::invalid_argument("word=... is missing");
    host.add_filter(std::make_unique<Doorkeeper>(word));
}
