// BodySource: a body that is made piece by piece, while it is sent.
#pragma once

#include <span>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "nutils/io_result.h"

namespace evcorothread {
class EvLoop;
}

namespace webby {

// Told, on its loop, that the answer to its request can go on.
class AnswerWaiter {
  public:
    virtual void answer_goes_on() = 0;

  protected:
    ~AnswerWaiter() = default;
};

// For bodies too large to be made whole, or whose size nobody knows yet: Response::source() takes one.
//
//   class Countdown final : public webby::BodySource {
//       nutils::IoResult read(std::span<char> buffer) override {
//           if (left_ == 0) return {0, nutils::NetError::eof};
//           buffer[0] = static_cast<char>('0' + left_--);
//           return {1, {}};
//       }
//       int left_ = 9;
//   };
//
// Owner:    the response, then the connection. Destroyed when it has said eof or failed, or when its
//           connection ends before; from then on nothing of it is used. It outlives the request: it keeps no
//           view of one.
// Thread:   that of its connection.
class EVC_API BodySource {
  public:
    virtual ~BodySource();

    // Writes the next piece to `buffer`, which is never empty. Called again whenever what it gave has been
    // sent, so a slow client slows the source down.
    //
    // Suspends: no. Takes no longer than reading from a file does; what takes longer is done in parts, see
    //           take_work().
    // After:    1 <= bytes <= buffer.size(), or an error; or no bytes yet, and take_work() says why.
    // Errors:   eof          the body is complete; bytes may be set, too
    //           would_block  there is nothing now; bytes may be set, too. For sources that have wait() and
    //                        tell()
    //           other        it will never be complete: the connection is cut, so that nobody takes the part
    //                        for the whole. So it is after an exception, and after 0 bytes without an error.
    virtual nutils::IoResult read(std::span<char> buffer) = 0;

    // After would_block. Waits, in a coroutine or on an OS thread, until there may be more.
    // Errors: timed_out, canceled.
    [[nodiscard]] virtual std::error_code wait(cutils::Deadline deadline);
    // After would_block, where nobody may wait. True: `waiter` will be told by a post to `loop`, once. False:
    // there may be more already. The waiter lives until `loop` has run all that was posted while the source
    // lived.
    [[nodiscard]] virtual bool tell(evcorothread::EvLoop& loop, AnswerWaiter& waiter);
    // Nothing has come for a while, the client may wonder: there may be more afterwards.
    virtual void nothing_came() {}
    // For sources whose bytes take time to make: how much read() has worked since this was asked last, in
    // bytes gone through (coded, changed). After 16 KiB the connection lets others go first.
    [[nodiscard]] virtual std::size_t take_work() { return 0; }
    // About how many bytes of memory it keeps for its client: see ServerOptions::max_unsent.
    [[nodiscard]] virtual std::size_t held() const { return 0; }
};

}  // namespace webby
