#include "evcorothread/tls_error.h"

#include <string>

namespace evcorothread {
namespace {

class KindCategory final : public std::error_category {
  public:
    constexpr KindCategory() noexcept = default;
    [[nodiscard]] const char* name() const noexcept override { return "tls kind"; }
    [[nodiscard]] std::string message(int kind) const override {
        switch (static_cast<TlsError>(kind)) {
            case TlsError::protocol: return "TLS protocol error";
            case TlsError::certificate_refused: return "certificate refused";
            case TlsError::certificate_expired: return "certificate expired or not valid yet";
            case TlsError::wrong_host: return "certificate of another host";
            case TlsError::refused_by_peer: return "refused by the peer";
            case TlsError::plain_text: return "plain text spoken to a TLS port";
            case TlsError::bad_file: return "bad certificate or key file";
        }
        return "unknown TLS error";
    }
};

// There before the first constructor runs and after the last destructor: errors may be compared at any time.
union Eternal {
    constexpr Eternal() noexcept : category() {}
    ~Eternal() {}  // NOLINT: leaves the category alive on purpose
    KindCategory category;
};
constinit const Eternal g_kinds;

}  // namespace

std::error_condition make_error_condition(TlsError error) noexcept {
    return {static_cast<int>(error), g_kinds.category};
}

}  // namespace evcorothread
