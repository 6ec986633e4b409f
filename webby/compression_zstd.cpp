#include <zstd.h>

#include <new>

#include "webby/content_encoder_internal.h"

namespace webby {
namespace {

using Step = ContentEncoder::Step;
using Until = ContentEncoder::Until;

constexpr int kLevel = 3;
constexpr int kWindowLog = 18;

class ZstdEngine final : public ContentEncoder::Engine {
  public:
    ZstdEngine() = default;
    ZstdEngine(const ZstdEngine&) = delete;
    ZstdEngine& operator=(const ZstdEngine&) = delete;
    ~ZstdEngine() override { ::ZSTD_freeCCtx(context_); }

    bool begin(std::uint64_t expected_size) {
        context_ = ::ZSTD_createCCtx();
        if (context_ == nullptr) return false;
        ::ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, kLevel);
        // A small body has a small window by itself, once its size is known; but then it has to be true.
        int log = kWindowLog;
        while (expected_size > 0 && log > 10 && (std::uint64_t{1} << (log - 1)) >= expected_size) --log;
        ::ZSTD_CCtx_setParameter(context_, ZSTD_c_windowLog, log);
        return true;
    }

    std::size_t memory() const override { return 1800 * 1024; }
    Step step(std::string_view& input, std::span<char> room, Until until) override {
        const ZSTD_EndDirective directive = until == Until::fed       ? ZSTD_e_continue
                                            : until == Until::flushed ? ZSTD_e_flush
                                                                      : ZSTD_e_end;
        ZSTD_inBuffer from{input.data(), input.size(), 0};
        ZSTD_outBuffer to{room.data(), room.size(), 0};
        const std::size_t held = ::ZSTD_compressStream2(context_, &to, &from, directive);
        input.remove_prefix(from.pos);
        if (::ZSTD_isError(held) != 0)
            return {to.pos, false, std::make_error_code(std::errc::not_enough_memory)};
        // While fed, what is held back is none of our business, unless it is for want of room.
        const bool ready = input.empty() && (until == Until::fed ? to.pos < to.size : held == 0);
        return {to.pos, ready, {}};
    }

  private:
    ZSTD_CCtx* context_ = nullptr;
};

}  // namespace

std::unique_ptr<ContentEncoder::Engine> make_zstd_engine(std::uint64_t expected_size) {
    std::unique_ptr<ZstdEngine> engine(new (std::nothrow) ZstdEngine);
    if (engine == nullptr || !engine->begin(expected_size)) return nullptr;
    return engine;
}

}  // namespace webby
