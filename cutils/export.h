// EVC_API marks what a shared library exports. Everything else is hidden (-fvisibility=hidden), so the ABI is
// exactly what carries this word.
#pragma once

#define EVC_API __attribute__((visibility("default")))
