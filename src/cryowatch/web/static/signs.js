// A severity's name and sign, so that it is never told by its colour alone.

export const SIGNS = { critical: "✕", warning: "▲", info: "●" };
export const NAMES = { critical: "critical", warning: "warning", info: "note" };
