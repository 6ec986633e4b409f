#include <brotli/encode.h>

#include <algorithm>
#include <limits>
#include <new>

#include "webby/content_encoder_internal.h"

namespace webby {
namespace {

using Step = ContentEncoder::Step;
using Until = ContentEncoder::Until;

constexpr std::uint32_t kQuality = 4;
constexpr std::uint32_t kWindow = 18;

class BrotliEngine final : public ContentEncoder::Engine {
  public:
    BrotliEngine() = default;
    BrotliEngine(const BrotliEngine&) = delete;
    BrotliEngine& operator=(const BrotliEngine&) = delete;
    ~BrotliEngine() override { ::BrotliEncoderDestroyInstance(state_); }

    bool begin(std::uint64_t expected_size) {
        state_ = ::BrotliEncoderCreateInstance(nullptr, nullptr, nullptr);
        if (state_ == nullptr) return false;
        const std::uint64_t hint =
            std::min<std::uint64_t>(expected_size, std::numeric_limits<std::uint32_t>::max());
        ::BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, kQuality);
        ::BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGWIN, kWindow);
        ::BrotliEncoderSetParameter(state_, BROTLI_PARAM_SIZE_HINT, static_cast<std::uint32_t>(hint));
        return true;
    }

    std::size_t memory() const override { return 3400 * 1024; }
    Step step(std::string_view& input, std::span<char> room, Until until) override {
        const BrotliEncoderOperation operation = until == Until::fed       ? BROTLI_OPERATION_PROCESS
                                                 : until == Until::flushed ? BROTLI_OPERATION_FLUSH
                                                                           : BROTLI_OPERATION_FINISH;
        const auto* from = reinterpret_cast<const std::uint8_t*>(input.data());
        auto* to = reinterpret_cast<std::uint8_t*>(room.data());
        std::size_t left = input.size(), space = room.size();
        const bool good =
            ::BrotliEncoderCompressStream(state_, operation, &left, &from, &space, &to, nullptr) != 0;
        input.remove_prefix(input.size() - left);
        const std::size_t bytes = room.size() - space;
        if (!good) return {bytes, false, std::make_error_code(std::errc::not_enough_memory)};
        const bool held = ::BrotliEncoderHasMoreOutput(state_) != 0;
        const bool ready =
            until == Until::finished ? ::BrotliEncoderIsFinished(state_) != 0 : input.empty() && !held;
        return {bytes, ready, {}};
    }

  private:
    BrotliEncoderState* state_ = nullptr;
};

}  // namespace

std::unique_ptr<ContentEncoder::Engine> make_brotli_engine(std::uint64_t expected_size) {
    std::unique_ptr<BrotliEngine> engine(new (std::nothrow) BrotliEngine);
    if (engine == nullptr || !engine->begin(expected_size)) return nullptr;
    return engine;
}

}  // namespace webby
