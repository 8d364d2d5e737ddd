/* How the scripts of pages write numbers: thin spaces between thousands, as lists do. */
"use strict";

window.rtxNumbers = (() => {
  const grouped = (options) => {
    const plain = new Intl.NumberFormat("en", options);
    return { format: (value) => plain.format(value).replaceAll(",", "\u202f") };
  };
  return {
    whole: grouped({ maximumFractionDigits: 0 }),
    two: grouped({ minimumFractionDigits: 2, maximumFractionDigits: 2 }),
    few: grouped({ maximumFractionDigits: 2 }),
    compact: grouped({ notation: "compact", maximumFractionDigits: 1 }),
    compactTwo: grouped({ notation: "compact", maximumFractionDigits: 2 }),
  };
})();
