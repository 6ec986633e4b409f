#include "evcorothread/tls_layer.h"

#include <string>
#include <utility>

#include "cutils/check.h"
#include "evcorothread/tls_context_internal.h"
#include "evcorothread/tls_core_internal.h"
#include "evcorothread/tls_info_internal.h"

namespace evcorothread {

struct TlsLayer::Engine final : TlsCore {
    Engine(TlsTransport& below, const TlsContext& context)
        : transport(below), plain_text(context.impl().plain_text) {}

    TlsTransport& transport;
    const std::shared_ptr<PlainTextReports> plain_text;

  private:
    IoResult take(std::span<char> buffer) override { return transport.try_recv(buffer); }
    IoResult give(std::string_view data) override { return transport.try_send(data); }
    std::error_code wait_for_room() override { return {}; }  // wants_room() tells
    [[nodiscard]] bool has_reader() const override { return false; }
};

TlsLayer::TlsLayer() noexcept = default;
TlsLayer::TlsLayer(std::unique_ptr<Engine> engine) noexcept : engine_(std::move(engine)) {}
TlsLayer::TlsLayer(TlsLayer&&) noexcept = default;
TlsLayer& TlsLayer::operator=(TlsLayer&&) noexcept = default;
TlsLayer::~TlsLayer() = default;

cutils::Result<TlsLayer> TlsLayer::accept(TlsTransport& transport, const TlsContext& context) {
    EVC_CHECK(context.is_server(), "TlsLayer::accept() with a client's TlsContext");
    auto engine = std::make_unique<Engine>(transport, context);
    if (const std::error_code error = engine->begin(context.impl().current().get(), true))
        return cutils::Error(error, "TLS");
    return TlsLayer(std::move(engine));
}

std::error_code TlsLayer::shake_hands() {
    if (engine_ == nullptr) return NetError::closed;
    const std::error_code error = engine_->shake_hands();
    shaken_ = !error;
    return error;
}

void TlsLayer::report_plain_text(std::string_view peer) const {
    if (engine_ != nullptr) engine_->plain_text->add(std::string(peer));
}

nutils::IoResult TlsLayer::try_recv(std::span<char> buffer) {
    EVC_CHECK(!buffer.empty(), "TlsLayer::try_recv() into an empty buffer");
    if (engine_ == nullptr) return {0, NetError::closed};
    return engine_->read(buffer);
}
bool TlsLayer::has_pending() const { return engine_ != nullptr && engine_->has_pending(); }

nutils::IoResult TlsLayer::try_send(std::string_view data) {
    if (engine_ == nullptr) return {0, NetError::closed};
    if (data.empty()) return {};
    if (const std::error_code error = flush()) return {0, error};
    return engine_->write(data);
}
bool TlsLayer::wants_room() const { return engine_ != nullptr && !engine_->waiting.empty(); }
std::error_code TlsLayer::flush() {
    if (engine_ == nullptr) return NetError::closed;
    const std::error_code error = engine_->flush();
    return error && error != NetError::would_block ? engine_->why_not_sent() : error;
}

// Behind something that is lost a goodbye would be a lie.
void TlsLayer::say_goodbye() {
    if (engine_ != nullptr && shaken_ && !engine_->flush()) (void)engine_->say_goodbye();
}

TlsInfo TlsLayer::info() const { return tls_info_of(engine_ != nullptr ? engine_->ssl.get() : nullptr); }

}  // namespace evcorothread
