import { ordersEvents } from "../../contracts/backbone.ts";
import { backboneService } from "../../mixins/backbone.ts";

export default backboneService("orders", ordersEvents);
