// A small multipart/form-data body, a request that brings it, and what became of it.
#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "webby/read_multipart.h"

namespace webby_test {

using namespace webby;

inline std::string content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// What a servlet sees: "name=value|", "name:size@file|".
inline std::string told(MultipartForm& form) {
    std::string all;
    for (ReceivedPart& part : form.parts) {
        all += part.head.name;
        all += part.file ? ":" + content_of(part.file.path()) : "=" + part.value;
        all += "|";
    }
    return all;
}

inline const std::string kBody =
    "--b\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nHello\r\n"
    "--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"p.jpg\"\r\nContent-Type: "
    "image/jpeg\r\n\r\n\xff\xd8\r\n--\r\n\r\n"
    "--b--\r\n";

inline std::string post(std::string_view path, std::string_view body,
                        std::string_view type = "multipart/form-data; boundary=b") {
    return "POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nContent-Type: " + std::string(type) +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

}  // namespace webby_test
