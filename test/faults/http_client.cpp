#include "test/faults/http_client.h"

#include "evcorothread/ev_socket.h"
#include "evcorothread/tls_socket.h"

namespace faults {
namespace {

using namespace evcorothread;

std::string say(const Question& question) {
    std::string text = question.method + " " + question.target + " HTTP/1.1\r\nHost: localhost\r\n" +
                       "Connection: close\r\n" + question.fields;
    if (!question.body.empty()) text += "Content-Length: " + std::to_string(question.body.size()) + "\r\n";
    return text + "\r\n" + question.body;
}

// Does the client see that this is not all?
bool is_cut(const std::string& head, const std::string& body) {
    if (head.find("Transfer-Encoding: chunked") != std::string::npos) return !body.ends_with("0\r\n\r\n");
    const auto length = head.find("Content-Length: ");
    return length != std::string::npos && body.size() < std::stoul(head.substr(length + 16));
}

// A file may not be there, or not be ours to read, when the kernel says so; and a client of whom
// getpeername(2) says nothing is not let in where only some are (ENOBUFS).
bool may_be_4xx(const Life& life) {
    for (const char* const error : {"ENOENT", "EACCES", "EPERM", "ELOOP", "ENOBUFS"})
        if (life.error == error) return true;
    return false;
}

void judge(const Life& life, const Question& question, const std::string& heard) {
    const auto end = heard.find("\r\n\r\n");
    const std::string what = question.method + " " + question.target;
    if (end == std::string::npos || !heard.starts_with("HTTP/1.1 "))
        return heard.empty() ? failed(what, "the connection was closed") : failed(what, "the head was cut");
    const std::string head = heard.substr(0, end), body = heard.substr(end + 4);
    const std::string status = head.substr(9, head.find('\r') - 9);
    if (is_cut(head, body)) return failed(what, "the answer was cut");
    if (status[0] == '5' || (status[0] == '4' && may_be_4xx(life))) return failed(what, status);
    if (status[0] != '2') return wrong(what + " was answered with " + status);
    if (!body.ends_with(question.ending)) wrong(what + " was answered with something else");
}

std::string converse_with(const Life& life, nutils::ByteStream& stream, const Question& question) {
    // Perhaps it is answered before it has heard all: then the answer counts.
    const auto sent = stream.send_all(say(question), kPatience);
    std::string heard;
    char buffer[16'384];
    nutils::IoResult got;
    while ((got = stream.recv(buffer, sent ? kPatience : 100ms))) heard.append(buffer, got.bytes);
    if (!sent) failed("a request", sent.error);
    if (!got.eof()) {
        if (sent) failed("the answer to " + question.target, got.error);
    } else {
        judge(life, question, heard);
    }
    return heard.substr(0, heard.find("\r\n\r\n"));
}

}  // namespace

std::string ask(const Life& life, EvLoop& loop, const nutils::SockAddr& server, const Question& question,
                const TlsContext* trust) {
    auto plain = EvSocket::connect(loop, server, kPatience);
    if (!good("connect to webby", plain)) return {};
    if (trust == nullptr) return converse_with(life, *plain, question);
    auto secret = TlsSocket::connect(std::move(*plain), *trust, "localhost", kPatience);
    if (!good("the client's handshake", secret)) return {};
    return converse_with(life, *secret, question);
}

}  // namespace faults
