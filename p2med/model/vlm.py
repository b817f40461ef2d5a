"""The joint model: encoder, connector, language model; image tokens are replaced by mask.

pixel_values float[N, D, H, W] in [0, 1], slices int64[N]
 encoder    real slices only, each by itself   float[N, D, P, C]
 connector                                     float[N, K, d]
 input_ids int64[B, T] holds K image tokens for every image; their embeddings are overwritten in order.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from p2med.errors import ModelError
from p2med.model import packed
from p2med.model.shape import P2MedConfig, plugin


class ReportWords(nn.Module):
    """Linear heads that say which words and diseases a report has: only training from nothing uses them.

    Of an image's features and tokens, or, in a model without an encoder, of what it makes of the prompt.
    """

    def __init__(self, words: int, encoder_width: int | None, width: int):
        super().__init__()
        if encoder_width is None:
            self.from_states = nn.Linear(width, words)
        else:
            self.from_features = nn.Linear(2 * encoder_width, words)
            self.from_tokens = nn.Linear(width, words)


class P2MedForConditionalGeneration(GenerationMixin, PreTrainedModel):
    config_class = P2MedConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    _supports_sdpa = True
    supports_gradient_checkpointing = True
    _tied_weights_keys = {"language_model.lm_head.weight": "language_model.model.embed_tokens.weight"}

    def __init__(self, config: P2MedConfig, language_model: PreTrainedModel | None = None):
        super().__init__(config)
        width = config.text_config.hidden_size
        self.encoder: nn.Module | None = None
        self.connector: nn.Module | None = None
        if config.encoder and config.connector:
            module, options = plugin("encoder", config.encoder)
            self.encoder = module.build(options, config.image_size)
            module, options = plugin("connector", config.connector)
            self.connector = module.build(options, self.encoder.width, self.encoder.patches, width)
        if language_model is not None:
            for module in language_model.modules():
                module._is_hf_initialized = True  # or post_init would draw its weights anew
        self.language_model = language_model or AutoModelForCausalLM.from_config(
            config.text_config, attn_implementation=packed.NAME
        )
        self.report_words: nn.Module | None = None
        self._make_report_words()
        self.post_init()
        if config.adapter:
            module, options = plugin("adapter", config.adapter)
            module.build(options, self.language_model)

    def _init_weights(self, module: nn.Module) -> None:
        if hasattr(module, "initialise"):
            module.initialise()
        elif isinstance(module, nn.Linear | nn.Embedding):
            module.weight.data.normal_(std=self.config.text_config.initializer_range)
            if getattr(module, "bias", None) is not None:
                module.bias.data.zero_()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.language_model.get_output_embeddings()

    def add_report_words(self, words: list[int], diseases: list[str], seed: int) -> None:
        """Give the model the heads for these token ids and diseases; older heads are dropped."""
        self.config.report_words, self.config.report_diseases = list(words), list(diseases)
        torch.manual_seed(seed)
        self._make_report_words()

    def _make_report_words(self) -> None:
        config = self.config
        targets = len(config.report_words) + len(config.report_diseases)
        sees = None if self.encoder is None else self.encoder.width
        width = config.text_config.hidden_size
        self.report_words = ReportWords(targets, sees, width) if targets else None

    # ---------------------------------------------------------------- images

    def encode(self, pixel_values: Tensor, slices: Tensor) -> Tensor:
        """Features of every slice.

        Args:
          pixel_values: float[N, D, H, W] in [0, 1], padded to the deepest volume.
          slices: int64[N], true depths.

        Returns:
          float[N, D, P, C]; zeros where a slice is padding.
        """
        if self.encoder is None:
            raise ModelError("this checkpoint has no image encoder: it answers text only")
        n, depth = pixel_values.shape[:2]
        real = torch.arange(depth, device=slices.device) < slices[:, None]
        found = self.encoder(pixel_values[real].to(next(self.encoder.parameters()).dtype))
        if bool(real.all()):
            return found.unflatten(0, (n, depth))
        features = found.new_zeros(n, depth, *found.shape[1:])
        return features.masked_scatter(real[:, :, None, None].expand_as(features), found)

    def image_tokens(self, features: Tensor, slices: Tensor) -> Tensor:
        """float[N, D, P, C], int64[N] -> float[N, K, d]."""
        assert self.connector is not None
        return self.connector(features.to(next(self.connector.parameters()).dtype), slices)

    def embed(self, input_ids: Tensor, image_embeds: Tensor | None) -> Tensor:
        """Token embeddings with the images' in their places.

        Raises:
          ModelError: the number of image tokens is not the number of image embeddings.
        """
        embeds = self.get_input_embeddings()(input_ids)
        if image_embeds is None:
            return embeds
        mask = input_ids == self.config.image_token_id
        flat = image_embeds.reshape(-1, image_embeds.shape[-1]).to(embeds.dtype)
        if int(mask.sum()) != flat.shape[0]:
            raise ModelError(f"{int(mask.sum())} image tokens for {flat.shape[0]} image embeddings")
        return embeds.masked_scatter(mask[..., None].expand_as(embeds), flat)

    # ---------------------------------------------------------------- text

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        slices: Tensor | None = None,
        features: Tensor | None = None,
        image_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Predict the next token at every position, or the loss when `labels` are given.

        Images come as `pixel_values` (with `slices`), as encoder `features` or as `image_embeds`.

        Returns:
          logits float[B, T, V]; with `labels` int64[B, T] (-100 = not learned) also their mean loss.
        """
        if image_embeds is None and features is None and pixel_values is not None:
            if slices is None:
                slices = torch.full((len(pixel_values),), pixel_values.shape[1], device=pixel_values.device)
            features = self.encode(pixel_values, slices)
        if image_embeds is None and features is not None:
            assert slices is not None
            image_embeds = self.image_tokens(features, slices)
        if inputs_embeds is None:
            assert input_ids is not None
            inputs_embeds = self.embed(input_ids, image_embeds)
        return self.language_model(
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            labels=labels,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )

    def hidden(self, input_ids: Tensor, attention_mask: Tensor, image_embeds: Tensor | None) -> Tensor:
        """The last layer's states float[B, T, d]; training turns only the learned ones into logits."""
        embeds = self.embed(input_ids, image_embeds)
        return packed.states(self.language_model, embeds, attention_mask)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        slices: Tensor | None = None,
        image_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        inputs = super().prepare_inputs_for_generation(
            input_ids, past_key_values=past_key_values, inputs_embeds=inputs_embeds, **kwargs
        )
        # Only the first pass sees the prompt, and with it the image tokens.
        if past_key_values is None or past_key_values.get_seq_length() == 0:
            inputs |= {"pixel_values": pixel_values, "slices": slices, "image_embeds": image_embeds}
        return inputs


AutoModelForImageTextToText.register(P2MedConfig, P2MedForConditionalGeneration)
