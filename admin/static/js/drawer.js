// The symbol view beside the hot list.
import { $ } from "./dom.js";
import { SymbolView } from "./symbol_view.js";

export class Drawer extends SymbolView {
  constructor(frame) {
    super(frame);
    $("drawer-close").addEventListener("click", () => this.close());
  }

  show(id) {
    const name = this.table.symbols.get(id)?.name;
    if (!name) return;
    $("drawer").hidden = false;
    $("drawer-page").href = `/symbol/${name}`;
    super.show(id);
  }

  close() {
    super.close();
    $("drawer").hidden = true;
  }
}
