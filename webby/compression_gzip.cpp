#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

#include "webby/content_encoder_internal.h"

namespace webby {
namespace {

using Step = ContentEncoder::Step;
using Until = ContentEncoder::Until;

constexpr int kLevel = 5;
constexpr int kMemory = 8;
constexpr int kGzip = 16;  // added to the window: with gzip's head and end

class GzipEngine final : public ContentEncoder::Engine {
  public:
    GzipEngine() = default;
    GzipEngine(const GzipEngine&) = delete;
    GzipEngine& operator=(const GzipEngine&) = delete;
    ~GzipEngine() override { (void)::deflateEnd(&stream_); }

    bool begin(int window) {
        return ::deflateInit2(&stream_, kLevel, Z_DEFLATED, window + kGzip, kMemory, Z_DEFAULT_STRATEGY) ==
               Z_OK;
    }

    std::size_t memory() const override { return 300 * 1024; }
    Step step(std::string_view& input, std::span<char> room, Until until) override {
        constexpr std::size_t kMost = std::numeric_limits<uInt>::max();
        const std::size_t offered = std::min(input.size(), kMost);
        const std::size_t space = std::min(room.size(), kMost);
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
        stream_.avail_in = static_cast<uInt>(offered);
        stream_.next_out = reinterpret_cast<Bytef*>(room.data());
        stream_.avail_out = static_cast<uInt>(space);
        const bool last = offered == input.size();
        const int mode = !last || until == Until::fed ? Z_NO_FLUSH
                         : until == Until::flushed    ? Z_SYNC_FLUSH
                                                      : Z_FINISH;
        const int code = ::deflate(&stream_, mode);
        input.remove_prefix(offered - stream_.avail_in);
        const std::size_t bytes = space - stream_.avail_out;
        // Z_BUF_ERROR: there was nothing to do.
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return {bytes, false, std::make_error_code(std::errc::io_error)};
        const bool ready =
            until == Until::finished ? code == Z_STREAM_END : input.empty() && stream_.avail_out > 0;
        return {bytes, ready, {}};
    }

  private:
    z_stream stream_{};
};

}  // namespace

std::unique_ptr<ContentEncoder::Engine> make_gzip_engine(std::uint64_t expected_size) {
    constexpr std::uint64_t kAhead = 262;  // of a window, zlib keeps so much for itself
    int window = 15;
    while (expected_size > 0 && window > 9 && (std::uint64_t{1} << (window - 1)) >= expected_size + kAhead)
        --window;
    std::unique_ptr<GzipEngine> engine(new (std::nothrow) GzipEngine);
    if (engine == nullptr || !engine->begin(window)) return nullptr;
    return engine;
}

}  // namespace webby
