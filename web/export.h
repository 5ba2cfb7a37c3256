// What a module shows to JavaScript: functions with C names and plain 32-bit numbers.
#pragma once

// NAME is also the name of the function that follows.
#define LBM_EXPORT(NAME) extern "C" __attribute__((export_name(#NAME), used))
