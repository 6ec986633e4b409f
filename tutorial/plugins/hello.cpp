// A plugin with a servlet: greets, and counts how often it did.
//
//   webby --servlet ./hello.so,greeting=Servus
//   curl http://127.0.0.1:8080/hello/Ada
#include <atomic>
#include <memory>
#include <string>

#include "webby/plugin.h"

namespace {

class Hello final : public webby::Servlet {
  public:
    explicit Hello(std::string greeting) : greeting_(std::move(greeting)) {}

    // On several threads at a time, if webby has several workers: what all share is atomic.
    void serve(webby::Request& request, webby::Response& response) override {
        response.set_header("X-Greetings", std::to_string(++count_));
        response.text(greeting_ + ", " + request.param("name") + "!\n");
    }

  private:
    const std::string greeting_;
    std::atomic<int> count_{0};
};

}  // namespace

WEBBY_PLUGIN(webby_plugin)(webby::PluginHost& host) {
    host.add(webby::Method::get, "/hello/:name", std::make_unique<Hello>(host.argument("greeting", "Hello")));
}
