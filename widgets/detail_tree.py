"""The layers and fields of one packet as a tree; each line knows its bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events, on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from netwatch.capture.dissect import Item
from netwatch.capture.tree_text import describe
from netwatch.widgets.painting import spelled
from netwatch.widgets.palette import Look

__all__ = ["DetailTree"]


class DetailTree(Tree[Item]):
    """Layers at the top level, the innermost opened. What was folded stays folded from packet to packet."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor_up", "Up", show=False, id="tree.up"),
        Binding("down,j", "cursor_down", "Down", show=False, id="tree.down"),
        Binding("left,h", "fold", "Fold", show=False, id="tree.fold"),
        Binding("right,l", "unfold", "Unfold", show=False, id="tree.unfold"),
        Binding("enter", "toggle_node", "Fold / unfold", show=False, id="tree.toggle"),
        Binding("home,g", "scroll_home", "First", show=False, id="tree.home"),
        Binding("end,G", "scroll_end", "Last", show=False, id="tree.end"),
        Binding("pageup", "page_up", "Page up", show=False, id="tree.pageup"),
        Binding("pagedown", "page_down", "Page down", show=False, id="tree.pagedown"),
    ]

    DEFAULT_CSS = """
    DetailTree { scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    """

    @dataclass
    class FieldSelected(Message):
        """The cursor came to another line."""

        tree: DetailTree
        item: Item

        @property
        def control(self) -> DetailTree:
            return self.tree

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__("", id=id)
        self.ICON_NODE = f"{look.glyphs.closed} "
        self.ICON_NODE_EXPANDED = f"{look.glyphs.opened} "
        self._more = look.glyphs.more
        self._before = "<" if self._more == ">" else self._more
        """The signs that a line goes on: behind what is in sight, before it."""
        self._slid: tuple[TreeNode[Item] | None, int] = None, 0
        """The line of which the beginning is out of sight, and how many columns of it are."""
        self._ascii = not look.glyphs.unicode
        if self._ascii:
            self.LINES = dict.fromkeys(Tree.LINES, ("  ", "| ", "`-", "|-"))
        self.show_root = False
        self.guide_depth = 2
        self.auto_expand = False
        self._words: Callable[[Item], str] = describe
        self._folded: dict[str, bool] = {}
        """Whether the person folded a layer or a branch, by field name: it holds for the next packet too."""

    def show(self, layers: Sequence[Item], styles: dict[str, Style], words: Callable[[Item], str] = describe) -> None:
        """Show a packet. `styles`: the style of a layer's line by its field's name. `words`: what a line says."""
        self.clear()
        self._slid = None, 0
        self._words = words
        for number, layer in enumerate(layers):
            style = styles.get(layer.field.name, Style.null()) + Style(bold=True)
            self._add(self.root, layer, style, opened=number >= len(layers) - 2)
        self.root.expand()
        self.cursor_line = 0
        self.scroll_home(animate=False)

    def say_again(self, words: Callable[[Item], str]) -> None:
        """The same lines in other words."""
        self._words = words
        branch = list(self.root.children)
        while branch:
            node = branch.pop()
            branch.extend(node.children)
            if node.data is not None and isinstance(node.label, Text):
                node.set_label(self._label(node.data, Style.parse(str(node.label.style))))

    def select_byte(self, offset: int, buffer: int = 0) -> Item | None:
        """Move to the smallest field that owns a byte of a buffer, opening what holds it."""
        found: TreeNode[Item] | None = None
        branch = list(self.root.children)
        while branch:
            inside = [node for node in branch if node.data is not None and _owns(node.data, offset, buffer)]
            if not inside:
                break
            found = min(inside, key=lambda node: node.data.size if node.data is not None else 0)
            branch = list(found.children)
        if found is None or found.data is None:
            return None
        parent = found.parent
        while parent is not None:
            parent.expand()
            parent = parent.parent
        node = found
        self.call_after_refresh(self._go_to, node)
        return found.data

    def field_text(self) -> str:
        """The line under the cursor, as it is copied: without names."""
        item = self.field_item()
        if item is None:
            return ""
        return spelled(describe(item)) if self._ascii else describe(item)

    def field_item(self) -> Item | None:
        """The field under the cursor."""
        return self.cursor_node.data if self.cursor_node is not None else None

    def render_line(self, y: int) -> Strip:
        """A line that is wider than there is room bears a mark where it goes on."""
        line, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        whole = self._render_line(line, 0, max(self.virtual_size.width, width), self.rich_style)
        size = cell_len(whole.text.rstrip())
        at = min(self._hidden(line), max(size - width, 0))
        seen = whole.crop(at, at + width)
        if at:
            seen = Strip.join([self._mark(seen.crop(0, 1), self._before), seen.crop(1, width)])
        if size > at + width:
            seen = Strip.join([seen.crop(0, width - 1), self._mark(seen.crop(width - 1, width), self._more)])
        return seen

    def on_resize(self, _event: events.Resize) -> None:
        if self.cursor_line >= 0:
            self.call_after_refresh(self.scroll_to_line, self.cursor_line, animate=False)

    @on(Tree.NodeHighlighted)
    def _announce(self, event: Tree.NodeHighlighted[Item]) -> None:
        event.stop()
        if event.node.data is not None:
            self.post_message(self.FieldSelected(self, event.node.data))

    @on(Tree.NodeExpanded)
    def _remember_open(self, event: Tree.NodeExpanded[Item]) -> None:
        if event.node.data is not None:
            self._folded[event.node.data.field.name] = False

    @on(Tree.NodeCollapsed)
    def _remember_fold(self, event: Tree.NodeCollapsed[Item]) -> None:
        if event.node.data is not None:
            self._folded[event.node.data.field.name] = True

    def action_fold(self) -> None:
        """Back to the beginning of a line; fold; where there is nothing to fold, go to the parent."""
        node = self.cursor_node
        if node is None or self._slide(-1):
            return
        if node.allow_expand and node.is_expanded:
            node.collapse()
        elif node.parent is not None and node.parent is not self.root:
            self.move_cursor(node.parent)
            self.scroll_to_node(node.parent, animate=False)

    def action_unfold(self) -> None:
        """Unfold; then see the rest of a line that is cut; then go to the first child."""
        node = self.cursor_node
        if node is None:
            return
        if node.allow_expand and not node.is_expanded:
            node.expand()
        elif not self._slide(1) and node.allow_expand:
            self.action_cursor_down()

    def _add(self, parent: TreeNode[Item], item: Item, style: Style, *, opened: bool = False) -> None:
        label = self._label(item, style)
        if not item.children:
            parent.add_leaf(label, item)
            return
        expand = not self._folded.get(item.field.name, not opened)
        node = parent.add(label, item, expand=expand)
        for child in item.children:
            self._add(node, child, Style.null())

    def _label(self, item: Item, style: Style) -> Text:
        """Text, never a plain string: Tree reads markup in strings, and this text comes from the wire."""
        words = self._words(item)
        return Text(spelled(words) if self._ascii else words, style=style, no_wrap=True, overflow="ellipsis", end="")

    def _slide(self, step: int) -> bool:
        """Move the line under the cursor sideways by half of what is in sight; whether it moved."""
        line, width = self.cursor_line, self.scrollable_content_region.width
        whole = self._render_line(line, 0, self.virtual_size.width, self.rich_style)
        most = max(cell_len(whole.text.rstrip()) - width, 0)
        before = min(self._hidden(line), most)
        after = min(max(before + step * max(width // 2, 1), 0), most)
        self._slid = self.cursor_node, after
        self.refresh()
        return after != before

    def _hidden(self, line: int) -> int:
        node, columns = self._slid
        return columns if line == self.cursor_line and node is self.cursor_node else 0

    def _mark(self, cell: Strip, sign: str) -> Strip:
        """A sign in the style of the cell in whose place it stands."""
        return Strip([Segment(sign, style) for _, style, _ in cell][:1])

    def _go_to(self, node: TreeNode[Item]) -> None:
        with self.prevent(Tree.NodeHighlighted):
            self.move_cursor(node)
        self.scroll_to_node(node, animate=False)


def _owns(item: Item, offset: int, buffer: int) -> bool:
    return item.buffer == buffer and item.start <= offset < item.end
