// A plugin that calls what nobody has.
#include "webby/plugin.h"

void nobody_has_this();

WEBBY_PLUGIN(webby_plugin)(webby::PluginHost&) { nobody_has_this(); }
