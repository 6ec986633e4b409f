#include "corothread/source_lines.h"

#if __has_include(<elfutils/libdwfl.h>)

#include <dlfcn.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <unistd.h>

#include <cstdint>
#include <type_traits>

namespace corothread {
namespace {

// The functions of libdw that are needed, as its headers declare them.
struct Library {
    decltype(&::dwfl_begin) begin = nullptr;
    decltype(&::dwfl_end) end = nullptr;
    decltype(&::dwfl_linux_proc_report) report_process = nullptr;
    decltype(&::dwfl_report_end) report_end = nullptr;
    decltype(&::dwfl_linux_proc_find_elf) find_elf = nullptr;
    decltype(&::dwfl_standard_find_debuginfo) find_debuginfo = nullptr;
    decltype(&::dwfl_addrmodule) module_at = nullptr;
    decltype(&::dwfl_module_addrdie) unit_at = nullptr;
    decltype(&::dwfl_module_nextcu) next_unit = nullptr;
    decltype(&::dwarf_haspc) contains = nullptr;
    decltype(&::dwarf_getsrc_die) line_at = nullptr;
    decltype(&::dwarf_lineno) number_of = nullptr;
    decltype(&::dwarf_linesrc) file_of = nullptr;
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
                   load(find_debuginfo, "dwfl_standard_find_debuginfo") &&
                   load(module_at, "dwfl_addrmodule") && load(unit_at, "dwfl_module_addrdie") &&
                   load(next_unit, "dwfl_module_nextcu") && load(contains, "dwarf_haspc") &&
                   load(line_at, "dwarf_getsrc_die") && load(number_of, "dwarf_lineno") &&
                   load(file_of, "dwarf_linesrc");
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
    const Dwarf_Addr address = reinterpret_cast<std::uintptr_t>(frame) - 1;
    Dwfl_Module* const module = library().module_at(impl_->session, address);
    if (module == nullptr) return {};
    Dwarf_Addr bias = 0;
    Dwarf_Die* unit = library().unit_at(module, address, &bias);
    // clang writes no table of which unit has which addresses: all are asked.
    if (unit == nullptr) {
        do unit = library().next_unit(module, unit, &bias);
        while (unit != nullptr && library().contains(unit, address - bias) != 1);
        if (unit == nullptr) return {};
    }
    Dwarf_Line* const line = library().line_at(unit, address - bias);
    const char* const file = line == nullptr ? nullptr : library().file_of(line, nullptr, nullptr);
    int number = 0;
    if (file == nullptr || library().number_of(line, &number) != 0) return {};
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
