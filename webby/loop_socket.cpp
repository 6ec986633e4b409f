#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "webby/loop_socket_internal.h"

namespace webby {

using cutils::Deadline;
using evcorothread::EvSocket;
using evcorothread::TlsSocket;
using nutils::IoResult;

IoResult send_file(EvSocket& socket, const Http1Engine::Output& output) {
    const IoResult head = socket.send_all(output.text, MSG_MORE, Deadline::never);
    if (!head) return head;
    return socket.sendfile_all(output.file, output.offset, static_cast<std::size_t>(output.count),
                               Deadline::never);
}

// The front of the file goes into one record with the head: a small file is one record, one send(2).
IoResult send_file(TlsSocket& socket, const Http1Engine::Output& output) {
    constexpr std::size_t kRecord = 16 * 1024;
    const auto count = static_cast<std::size_t>(output.count);
    const std::size_t head = output.text.size();
    if (head >= kRecord) {
        const IoResult sent = socket.send_all(output.text, Deadline::never);
        if (!sent) return sent;
        return socket.sendfile_all(output.file, output.offset, count, Deadline::never);
    }
    const std::size_t front = std::min(count, kRecord - head);
    std::unique_ptr<char[]> record(new (std::nothrow) char[head + front]);
    if (record == nullptr) return {0, std::make_error_code(std::errc::not_enough_memory)};
    std::memcpy(record.get(), output.text.data(), head);
    ssize_t got = -1;
    do got = ::pread(output.file, record.get() + head, front, output.offset);
    while (got < 0 && errno == EINTR);
    if (got < 0) return {0, std::error_code(errno, std::generic_category())};
    const IoResult sent =
        socket.send_all({record.get(), head + static_cast<std::size_t>(got)}, Deadline::never);
    record.reset();
    const std::size_t left = count - static_cast<std::size_t>(got);
    if (!sent || left == 0) return sent;
    return socket.sendfile_all(output.file, output.offset + got, left, Deadline::never);
}

}  // namespace webby
