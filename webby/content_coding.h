// Content codings: bodies made smaller for the way (gzip, br, zstd).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "cutils/export.h"
#include "cutils/result.h"
#include "webby/accept_encoding.h"
#include "webby/body_source.h"

namespace webby {

// The codings this build can make, best first for bodies made while somebody waits. Without identity. None of
// them in a build with COMPRESSION=0. Lifetime: for ever.
[[nodiscard]] EVC_API std::span<const ContentCoding> content_codings();

// Whether what has this type gets smaller: text in its many forms, fonts and images that are not packed
// already.
[[nodiscard]] EVC_API bool is_compressible(std::string_view content_type);

// Makes coded bytes out of plain ones, as they come.
//
//   auto encoder = ContentEncoder::make(ContentCoding::br);
//   std::string out;
//   encoder->feed(part, out);       // may keep some of it
//   encoder->flush(out);            // the client can read all that was fed; costs some of the gain
//   encoder->finish(out);           // the end
//
// Owner: whoever makes the body; moves. One thread.
// Cost:  of memory, however long the body is, 0.3 MiB for gzip, 1.8 for zstd and 3.4 for br; 16 KiB of stack.
//        Text takes 16 ns a byte with zstd, 25 with br and 29 with gzip (Zen 5, busy): where the thread has
//        other work, feed small parts.
class EVC_API ContentEncoder {
  public:
    // expected_size: how much will be fed, if it is known; it makes small bodies cheaper, and may be wrong.
    // Errors: errc::not_supported for identity and for what this build has not; errc::not_enough_memory.
    [[nodiscard]] static cutils::Result<ContentEncoder> make(ContentCoding coding,
                                                             std::uint64_t expected_size = 0);

    ContentEncoder(ContentEncoder&&) noexcept;
    ContentEncoder& operator=(ContentEncoder&&) noexcept;
    ~ContentEncoder();

    // What is written is added to `out`. Nothing may follow finish().
    // Errors: those of the library, as errc::io_error; errc::not_enough_memory. Only its end is useful then.
    [[nodiscard]] std::error_code feed(std::string_view input, std::string& out);
    [[nodiscard]] std::error_code flush(std::string& out);
    [[nodiscard]] std::error_code finish(std::string& out);

    enum class Until { fed, flushed, finished };
    // One step, into memory of a fixed size: takes from the front of `input`, returns how many bytes it
    // wrote. Ready says that `input` is empty and nothing is held back, as far as `until` wants it; till then
    // call again.
    struct Step {
        std::size_t bytes = 0;
        bool ready = false;
        std::error_code error{};
    };
    [[nodiscard]] Step step(std::string_view& input, std::span<char> room, Until until);

    // About how many bytes of memory it has.
    [[nodiscard]] std::size_t memory() const;

    class Engine;  // internal: one a library
    explicit ContentEncoder(std::unique_ptr<Engine> engine);

  private:
    [[nodiscard]] std::error_code run(std::string_view input, std::string& out, Until until);
    std::unique_ptr<Engine> engine_;
};

// `body` coded, whole. Errors: of ContentEncoder.
[[nodiscard]] EVC_API cutils::Result<std::string> encode(ContentCoding coding, std::string_view body);

// A body that is coded while it is sent. Owner: as BodySource.
class EVC_API EncodedSource final : public BodySource {
  public:
    EncodedSource(std::unique_ptr<BodySource> plain, ContentEncoder encoder);
    nutils::IoResult read(std::span<char> buffer) override;
    std::error_code wait(cutils::Deadline deadline) override { return plain_->wait(deadline); }
    bool tell(evcorothread::EvLoop& loop, AnswerWaiter& waiter) override {
        return plain_->tell(loop, waiter);
    }
    void nothing_came() override { plain_->nothing_came(); }
    std::size_t held() const override { return plain_->held() + kInput + encoder_.memory(); }
    std::size_t take_work() override { return std::exchange(work_, 0) + plain_->take_work(); }

  private:
    static constexpr std::size_t kInput = 16 * 1024;
    static constexpr std::size_t kAtOnce = 16 * 1024;  // coded in one read()
    // Coded without a byte to show for it; then we insist on some.
    static constexpr std::size_t kSilence = 256 * 1024;
    std::unique_ptr<BodySource> plain_;
    ContentEncoder encoder_;
    std::unique_ptr<char[]> input_;
    std::string_view left_;  // of the input, not coded yet
    std::size_t work_ = 0;
    std::size_t silent_ = 0;  // coded since there was something to show
    bool plain_ended_ = false;
    bool flushing_ = false;
    bool dirty_ = false;  // something was coded since the last flush
};

}  // namespace webby
