#include "corothread/source_lines.h"

#if __has_include(<elfutils/libdwfl.h>)

#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <unistd.h>

#include <cstdint>

namespace corothread {
namespace {

// The functions of libdw that are needed, as its header declares them.
struct Library {
    decltype(&::dwfl_begin) begin = nullptr;
    decltype(&::dwfl_end) end = nullptr;
    decltype(&::dwfl_linux_proc_report) report_process = nullptr;
    decltype(&::dwfl_report_end) report_end = nullptr;
    decltype(&::dwfl_linux_proc_find_elf) find_elf = nullptr;
    decltype(&::dwfl_standard_find_debuginfo) find_debuginfo = nullptr;
    decltype(&::dwfl_getsrc) line_of = nullptr;
    decltype(&::dwfl_lineinfo) describe = nullptr;
    bool complete = false;

    Library() {
        void* const file = ::dlopen("libdw.so.1", RTLD_LAZY | RTLD_LOCAL);  // never closed
        if (file == nullptr) return;
        const auto load = [file](auto& function, const char* name) {
            function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(file, name));
            return function != nullptr;
        };
        complete = load(begin, "dwfl_begin") && load(end, "dwfl_end") &&
                   load(report_process, "dwfl_linux_proc_report") && load(report_end, "dwfl_report_end") &&
                   load(find_elf, "dwfl_linux_proc_find_elf") &&
                   load(find_debuginfo, "dwfl_standard_find_debuginfo") && load(line_of, "dwfl_getsrc") &&
                   load(describe, "dwfl_lineinfo");
    }
};

const Library& library() {
    static const Library loaded;
    return loaded;
}

}  // namespace

struct SourceLines::Impl {
    Impl() {
        if (!library().complete) return;
        files.find_elf = library().find_elf;
        files.find_debuginfo = library().find_debuginfo;
        session = library().begin(&files);
        if (session == nullptr) return;
        if (library().report_process(session, ::getpid()) == 0 &&
            library().report_end(session, nullptr, nullptr) == 0)
            return;
        library().end(session);
        session = nullptr;
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() {
        if (session != nullptr) library().end(session);
    }

    Dwfl_Callbacks files{};  // the session keeps its address
    Dwfl* session = nullptr;
};

SourceLines::SourceLines() : impl_(std::make_unique<Impl>()) {}
SourceLines::~SourceLines() = default;

bool SourceLines::available() const { return impl_->session != nullptr; }

std::string SourceLines::of(const void* frame) const {
    if (!available()) return {};
    // A return address may belong to the next line already.
    Dwfl_Line* const line = library().line_of(impl_->session, reinterpret_cast<std::uintptr_t>(frame) - 1);
    int number = 0;
    const char* const file =
        line == nullptr ? nullptr : library().describe(line, nullptr, &number, nullptr, nullptr, nullptr);
    if (file == nullptr) return {};
    std::string text = file;
    text += ':';
    text += std::to_string(number);
    return text;
}

}  // namespace corothread

#else  // built without libdw's headers (Debian: libdw-dev)

namespace corothread {

struct SourceLines::Impl {};
SourceLines::SourceLines() = default;
SourceLines::~SourceLines() = default;
bool SourceLines::available() const { return false; }
std::string SourceLines::of(const void*) const { return {}; }

}  // namespace corothread

#endif
