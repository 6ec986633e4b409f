#include "webby/program/plugins.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <exception>
#include <system_error>

#include "webby/program/elf_file.h"

namespace webby::program {
namespace {

cutils::Error failed(const std::string& library, const std::string& why) {
    return {std::make_error_code(std::errc::invalid_argument), library + ": " + why};
}

// The loader's words often begin with the path.
std::string loader_says(const std::string& library) {
    const char* const text = ::dlerror();
    std::string words = text != nullptr ? text : "cannot be loaded";
    if (words.starts_with(library + ": ")) words.erase(0, library.size() + 2);
    return words;
}

std::string difference(const PluginAbi& theirs) {
    if (theirs.version != kPluginAbiVersion)
        return "built for plugin ABI " + std::to_string(theirs.version) + ", this is " +
               std::to_string(kPluginAbiVersion) + ": build it again with this version's headers";
    return "built with other headers or another C++ library than this webby: build it again";
}

bool is_function(void* address) {
    Dl_info where;
    void* symbol = nullptr;
    if (::dladdr1(address, &where, &symbol, RTLD_DL_SYMENT) == 0 || symbol == nullptr) return false;
    return ELF64_ST_TYPE(static_cast<const ElfW(Sym)*>(symbol)->st_info) == STT_FUNC;
}

}  // namespace

Plugins::~Plugins() {
    while (!libraries_.empty()) {
        ::dlclose(libraries_.back());
        libraries_.pop_back();
    }
}

cutils::Result<void> Plugins::load(const PluginSpec& spec, PluginHost host) {
    if (is_cut_off(spec.library)) return failed(spec.library, "the file is cut off: copy it again");
    // What is missing is said now, not in the middle of a request.
    void* const library = ::dlopen(spec.library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return failed(spec.library, loader_says(spec.library));
    libraries_.push_back(library);
    const void* const abi = ::dlsym(library, kPluginAbiSymbol);
    if (abi == nullptr) return failed(spec.library, "not a plugin of webby: it has no webby_plugin_abi");
    if (const auto& theirs = *static_cast<const PluginAbi*>(abi); theirs != kPluginAbi)
        return failed(spec.library, difference(theirs));
    void* const factory = ::dlsym(library, spec.factory.c_str());
    if (factory == nullptr) return failed(spec.library, "it has no factory \"" + spec.factory + "\"");
    if (!is_function(factory)) return failed(spec.library, "its \"" + spec.factory + "\" is not a function");
    try {
        reinterpret_cast<PluginFactory*>(factory)(host);
    } catch (const std::exception& error) {
        return failed(spec.library, spec.factory + ": " + error.what());
    } catch (...) {
        return failed(spec.library, spec.factory + ": an exception that is not a std::exception");
    }
    return {};
}

}  // namespace webby::program
